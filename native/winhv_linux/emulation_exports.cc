// The exported functions of winhvemulation.dll.
#include <new>

#include "winhv_linux/emulator.h"

using runhv::winhv_linux::Emulator;

extern "C" {

HRESULT WINAPI WHvEmulatorCreateEmulator(const WHV_EMULATOR_CALLBACKS* callbacks,
                                         WHV_EMULATOR_HANDLE* emulator) {
  if (callbacks == nullptr || emulator == nullptr) return E_POINTER;
  if (callbacks->Size != sizeof *callbacks || callbacks->WHvEmulatorIoPortCallback == nullptr ||
      callbacks->WHvEmulatorMemoryCallback == nullptr ||
      callbacks->WHvEmulatorGetVirtualProcessorRegisters == nullptr ||
      callbacks->WHvEmulatorSetVirtualProcessorRegisters == nullptr ||
      callbacks->WHvEmulatorTranslateGvaPage == nullptr) {
    return E_INVALIDARG;
  }
  *emulator = new (std::nothrow) Emulator(*callbacks);
  return *emulator == nullptr ? E_OUTOFMEMORY : S_OK;
}

HRESULT WINAPI WHvEmulatorDestroyEmulator(WHV_EMULATOR_HANDLE emulator) {
  delete static_cast<Emulator*>(emulator);
  return S_OK;
}

// Both: S_OK says nothing of the instruction, the status does.

HRESULT WINAPI WHvEmulatorTryIoEmulation(WHV_EMULATOR_HANDLE emulator, VOID* context,
                                         const WHV_VP_EXIT_CONTEXT* vp,
                                         const WHV_X64_IO_PORT_ACCESS_CONTEXT* access,
                                         WHV_EMULATOR_STATUS* status) {
  if (emulator == nullptr || vp == nullptr || access == nullptr || status == nullptr) {
    return E_POINTER;
  }
  *status = static_cast<const Emulator*>(emulator)->run_port(context, *vp, *access);
  return S_OK;
}

HRESULT WINAPI WHvEmulatorTryMmioEmulation(WHV_EMULATOR_HANDLE emulator, VOID* context,
                                           const WHV_VP_EXIT_CONTEXT* vp,
                                           const WHV_MEMORY_ACCESS_CONTEXT* access,
                                           WHV_EMULATOR_STATUS* status) {
  if (emulator == nullptr || vp == nullptr || access == nullptr || status == nullptr) {
    return E_POINTER;
  }
  *status = static_cast<const Emulator*>(emulator)->run_memory(context, *vp, *access);
  return S_OK;
}
}
