@echo off
rem What a Windows says to what we believe of it: on_windows.cmd PROGRAMS REPORTS
rem   PROGRAMS  what `tools/dev windows` makes: build/windows-mingw/bin
rem   REPORTS   a folder that is made: report.json is what native/conformance/reports keeps
rem The feature Windows Hypervisor Platform is enabled where this runs as an administrator. Where it was off, Windows
rem wants to be started again before it answers. The status: that of conformance_test.exe, 1 where any case fails.
setlocal
if "%~2"=="" (echo usage: on_windows.cmd PROGRAMS REPORTS & exit /b 2)
set programs=%~f1
set reports=%~f2
if not exist "%programs%\conformance_test.exe" (echo on_windows: no conformance_test.exe in %programs% & exit /b 2)
if not exist "%reports%\alone" mkdir "%reports%\alone"

dism.exe /online /enable-feature /featurename:HypervisorPlatform /all /norestart >"%reports%\feature.txt" 2>&1
echo enabling the feature ended with %errorlevel%; 3010: Windows wants to be started again

rem In a folder of its own, so that it finds Windows' WinHvPlatform.dll and not ours.
copy /y "%programs%\conformance_test.exe" "%reports%\alone" >nul
"%reports%\alone\conformance_test.exe" --report "%reports%\report.json" >"%reports%\conformance.txt" 2>&1
set status=%errorlevel%
type "%reports%\conformance.txt"
rmdir /s /q "%reports%\alone"
echo conformance_test ended with %status%; the report is %reports%\report.json
exit /b %status%
