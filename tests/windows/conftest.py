def pytest_addoption(parser):
    parser.addoption("--programs", default="build/windows-mingw/bin", help="the programs for Windows")
    parser.addoption("--results", default="build/log", help="the folder of ctest.xml and ctest-windows.xml")
