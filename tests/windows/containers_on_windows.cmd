@echo off
rem What containers do on a Windows: containers_on_windows.cmd RUNHV IMAGE CLASSES REPORTS
rem   RUNHV    the folder of the archive
rem   IMAGE    an image's name, as oci:C:\images\busybox
rem   CLASSES  examples\Hello.java, compiled. Its image is build\images\busybox of the current folder
rem   REPORTS  a folder that is made: doctor.json, container.txt and java.txt are what was said
rem JAVA_HOME has a Java of version 25 or newer. The status: 1 where any of it failed; all of it is tried.
setlocal
if "%~4"=="" (echo usage: containers_on_windows.cmd RUNHV IMAGE CLASSES REPORTS & exit /b 2)
set runhv=%~f1
set reports=%~f4
set status=0
if not exist "%runhv%\bin\runhv.exe" (echo containers_on_windows: no bin\runhv.exe in %runhv% & exit /b 2)
if not exist "%reports%" mkdir "%reports%"

"%runhv%\bin\runhv.exe" doctor --json >"%reports%\doctor.json" 2>&1
if not %errorlevel%==0 (
  echo doctor has found a fault
  set status=1
)
type "%reports%\doctor.json"

"%runhv%\bin\runhv.exe" run %2 sh -c "uname -sr; exit 42" >"%reports%\container.txt" 2>&1
if not %errorlevel%==42 (
  echo the container has not ended with 42
  set status=1
)
type "%reports%\container.txt"

"%JAVA_HOME%\bin\java.exe" "-Drunhv.home=%runhv%" -p "%runhv%\lib\java" --add-modules dev.runhv.vmm --enable-native-access=dev.runhv.vmm,com.github.luben.zstd_jni -cp %3 Hello >"%reports%\java.txt" 2>&1
if not %errorlevel%==0 (
  echo the program in Java has failed
  set status=1
)
type "%reports%\java.txt"
exit /b %status%
