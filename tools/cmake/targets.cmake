# One way to make a target, so that warnings, language rules and test names are the same everywhere.

find_package(Threads REQUIRED)
# Who only wants to run has no need of it: ./test installs it.
include(tools/cmake/googletest.cmake)
# Debian's libgtest-dev alone is found as well, without GoogleMock.
if(NOT TARGET GTest::gmock)
  message(STATUS "runhv: GoogleTest (libgtest-dev, libgmock-dev) is not here; tests are left out")
endif()

# Whole tests that are not linked for Windows, and why, besides those of the shared libraries, which it has not (api, jni); of
# others, the files that are LINUX_SOURCES there, or are called *_linux_test.cc.
set(RUNHV_NOT_TESTED_ON_WINDOWS_fs_test "folders of Windows are not shared")
set(RUNHV_NOT_TESTED_ON_WINDOWS_fs_fuzz_test "folders of Windows are not shared")
set(RUNHV_NOT_TESTED_ON_WINDOWS_container_fuzz_test "it looks into a container's pipes: native/container/CMakeLists.txt")
set(kvm_sources "it has the sources of the engine kvm; what they have in common with the DLL, conformance asks")
set(RUNHV_NOT_TESTED_ON_WINDOWS_winhv_linux_test "${kvm_sources}")
set(RUNHV_NOT_TESTED_ON_WINDOWS_whp_fuzz_test "${kvm_sources}")

set(engine engine/librunhv-softcpu.so)
if(WIN32)
  set(engine engine-windows/runhv-softcpu.dll)
endif()
set(RUNHV_ENGINE_LIBRARY "${CMAKE_SOURCE_DIR}/build/${engine}" CACHE FILEPATH
  "The soft engine that tests run on (made by tools/build_engine)")

add_library(runhv_flags INTERFACE)
target_compile_options(runhv_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Werror
  -fno-strict-aliasing -fstack-protector-strong
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-subobject-linkage>  # of sources that are compiled together
  -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=  # equal wherever it is built, and nobody's folders in what is shipped
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti>)
target_compile_definitions(runhv_flags INTERFACE
  $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2> RUNHV_VERSION="${PROJECT_VERSION}")
target_include_directories(runhv_flags INTERFACE
  ${PROJECT_SOURCE_DIR}/native ${PROJECT_SOURCE_DIR}/native/include
  ${PROJECT_SOURCE_DIR}/guest/proto)
target_link_libraries(runhv_flags INTERFACE Threads::Threads)
if(CMAKE_CROSSCOMPILING)
  set(RUNHV_TEST_DRIVE Z:)  # under which Wine has the files of this host
endif()
if(WIN32)
  # Windows 10: WHP is no older.
  target_compile_definitions(runhv_flags INTERFACE _WIN32_WINNT=0x0A00 WIN32_LEAN_AND_MEAN NOMINMAX)
  # Here the guards of the stack are in a library of the compiler's. No time in the file: equal sources make equal programs.
  target_link_options(runhv_flags INTERFACE -fstack-protector-strong -Wl,--no-insert-timestamp)
  # The DLLs that a program needs lie beside it.
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endif()
if(RUNHV_SANITIZE)
  target_compile_options(runhv_flags INTERFACE -fsanitize=${RUNHV_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer -g1)
  target_link_options(runhv_flags INTERFACE -fsanitize=${RUNHV_SANITIZE})
endif()
if(RUNHV_FUZZ)
  # Sign conversions: part of -Wconversion in clang, not in g++.
  target_compile_options(runhv_flags INTERFACE -fsanitize=fuzzer-no-link -Wno-sign-conversion)
  file(REMOVE ${PROJECT_BINARY_DIR}/fuzz_targets)
endif()

# runhv_alone(SOURCE…): where sources of a target are compiled together, these are not: their own names are the field's,
# and others' too.
function(runhv_alone)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# runhv_library(NAME SOURCES … DEPENDS …): target runhv_NAME; DEPENDS are the layers it may know.
function(runhv_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(runhv_${name} STATIC ${arg_SOURCES})
  target_link_libraries(runhv_${name} PUBLIC runhv_flags)
  foreach(layer IN LISTS arg_DEPENDS)
    target_link_libraries(runhv_${name} PUBLIC runhv_${layer})
  endforeach()
endfunction()

# runhv_program(NAME SOURCES … DEPENDS …): executable NAME.
function(runhv_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  install(TARGETS ${name} RUNTIME DESTINATION bin COMPONENT runhv)
  target_link_libraries(${name} PRIVATE runhv_flags)
  foreach(layer IN LISTS arg_DEPENDS)
    target_link_libraries(${name} PRIVATE runhv_${layer})
  endforeach()
endfunction()

# runhv_test(NAME SOURCES … [LINUX_SOURCES …] DEPENDS … [LABELS …] [ENVIRONMENT VAR=value …]): executable NAME_test, one
# ctest per TEST(). Sources called *_linux_test.cc and *_windows_test.cc are of that system alone.
function(runhv_test name)
  if(NOT TARGET GTest::gmock)
    return()
  endif()
  if(WIN32 AND DEFINED RUNHV_NOT_TESTED_ON_WINDOWS_${name}_test)
    message(STATUS "runhv: ${name}_test is left out: ${RUNHV_NOT_TESTED_ON_WINDOWS_${name}_test}")
    return()
  endif()
  cmake_parse_arguments(arg "" "" "SOURCES;LINUX_SOURCES;DEPENDS;LABELS;ENVIRONMENT" ${ARGN})
  set(other windows)
  if(WIN32)
    if(arg_LINUX_SOURCES)
      message(STATUS "runhv: ${name}_test is without what needs Linux, as its CMakeLists.txt says: ${arg_LINUX_SOURCES}")
    endif()
    set(other linux)
    set(arg_LINUX_SOURCES)
  endif()
  list(FILTER arg_SOURCES EXCLUDE REGEX "_${other}_test\\.cc$")
  add_executable(${name}_test ${arg_SOURCES} ${arg_LINUX_SOURCES})
  target_link_libraries(${name}_test PRIVATE runhv_flags GTest::gtest GTest::gmock GTest::gtest_main)
  # GoogleTest's macros need run-time type information and exceptions in its own headers.
  target_compile_options(${name}_test PRIVATE -fexceptions -frtti -Wno-conversion
    $<$<CONFIG:RelWithDebInfo>:-O1>)  # what is tested is optimized as it ships; its tests need not be
  foreach(layer IN LISTS arg_DEPENDS)
    target_link_libraries(${name}_test PRIVATE runhv_${layer})
  endforeach()
  include(GoogleTest)
  set(discovery POST_BUILD)
  if(CMAKE_CROSSCOMPILING)
    set(discovery PRE_TEST)  # who only builds needs nothing to run them
  endif()
  gtest_discover_tests(${name}_test TEST_PREFIX "${name}." DISCOVERY_TIMEOUT 60
    DISCOVERY_MODE ${discovery}
    PROPERTIES TIMEOUT 300 LABELS "${arg_LABELS}")
  if(arg_ENVIRONMENT)
    # gtest_discover_tests cannot pass a property that is a list; its list of tests can be used.
    set(script ${CMAKE_CURRENT_BINARY_DIR}/${name}_environment.cmake)
    file(CONFIGURE OUTPUT ${script} @ONLY CONTENT [[
foreach(test IN LISTS @name@_test_TESTS)
  set_tests_properties("${test}" PROPERTIES ENVIRONMENT "@arg_ENVIRONMENT@")
endforeach()
]])
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${script})
  endif()
endfunction()

# runhv_fuzz(NAME SOURCES … DEPENDS …): executable NAME_fuzz of a target (testing/fuzz.h) whose corpus is the
# folder corpus/NAME beside this list. A test, or with RUNHV_FUZZ a program of libFuzzer.
function(runhv_fuzz name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  if(RUNHV_FUZZ)
    add_executable(${name}_fuzz EXCLUDE_FROM_ALL
      ${arg_SOURCES} ${PROJECT_SOURCE_DIR}/native/testing/fuzz_libfuzzer.cc)
    target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${name}_fuzz PRIVATE runhv_flags)
    foreach(layer IN LISTS arg_DEPENDS ITEMS testing)
      target_link_libraries(${name}_fuzz PRIVATE runhv_${layer})
    endforeach()
    file(APPEND ${PROJECT_BINARY_DIR}/fuzz_targets "${name} ${corpus}\n")
    return()
  endif()
  runhv_test(${name}_fuzz
    SOURCES ${arg_SOURCES} ${PROJECT_SOURCE_DIR}/native/testing/fuzz_replay.cc
    DEPENDS ${arg_DEPENDS} testing LABELS fuzz)
  if(TARGET ${name}_fuzz_test)
    set(seconds 3)
    if(RUNHV_SANITIZE)
      set(seconds 5)
    endif()
    target_compile_definitions(${name}_fuzz_test PRIVATE
      RUNHV_FUZZ_NAME="${name}" RUNHV_FUZZ_CORPUS="${RUNHV_TEST_DRIVE}${corpus}"
      RUNHV_FUZZ_SECONDS=${seconds})
  endif()
endfunction()
