# GoogleTest for the system that is built for. Debian has it compiled for its own, and as source.
if(WIN32)
  set(RUNHV_GOOGLETEST_SOURCE /usr/src/googletest CACHE PATH "The source of GoogleTest")
  if(EXISTS ${RUNHV_GOOGLETEST_SOURCE}/CMakeLists.txt)
    set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)  # these are its options
    set(gtest_disable_pthreads ON)  # threads are Windows' own
    set(INSTALL_GTEST OFF)
    add_subdirectory(${RUNHV_GOOGLETEST_SOURCE} ${PROJECT_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
  endif()
else()
  find_package(GTest QUIET)
endif()
