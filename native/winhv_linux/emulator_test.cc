#include "winhv_linux/emulator.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <map>

#include "gtest/gtest.h"
#include "winhv_linux/gpa_map.h"

namespace runhv::winhv_linux {
namespace {

constexpr UINT64 kRip = 0x1000;
constexpr UINT64 kRamEnd = 0x10000;
constexpr UINT64 kTablesEnd = 0xD000'1000;

// A client: its registers, a register of a device in memory, some RAM, and a port. Its tables are
// one to one up to kTablesEnd.
class EmulatorTest : public ::testing::Test {
 protected:
  EmulatorTest() {
    vp_.Rip = kRip;
    vp_.Cs.Long = 1;
    memory_.Gpa = 0xD000'0000;
  }

  static EmulatorTest& of(void* context) { return *static_cast<EmulatorTest*>(context); }
  static HRESULT on_port(void* context, WHV_EMULATOR_IO_ACCESS_INFO* access) {
    EmulatorTest& client = of(context);
    if (client.device_fails_) return E_FAIL;
    client.port_number_ = access->Port;
    if (access->Direction == 1) {
      client.device_ = access->Data;
    } else {
      access->Data = static_cast<UINT32>(client.device_);
    }
    return S_OK;
  }
  static HRESULT on_memory(void* context, WHV_EMULATOR_MEMORY_ACCESS_INFO* access) {
    EmulatorTest& client = of(context);
    if (client.device_fails_) return E_FAIL;
    if (access->GpaAddress < kRamEnd) {
      for (UINT8 i = 0; i < access->AccessSize; ++i) {
        UINT8& byte = client.ram_[access->GpaAddress + i];
        if (access->Direction == 1) {
          byte = access->Data[i];
        } else {
          access->Data[i] = byte;
        }
      }
      return S_OK;
    }
    ++client.accesses_;
    EXPECT_EQ(access->GpaAddress / kPageBytes, client.memory_.Gpa / kPageBytes);
    if (access->Direction == 1) {
      std::memcpy(&client.device_, access->Data, access->AccessSize);
    } else {
      std::memcpy(access->Data, &client.device_, access->AccessSize);
    }
    return S_OK;
  }
  static HRESULT on_get(void* context, const WHV_REGISTER_NAME* names, UINT32 count,
                        WHV_REGISTER_VALUE* values) {
    EmulatorTest& client = of(context);
    for (UINT32 i = 0; i < count; ++i) values[i].Reg64 = client.registers_[names[i]];
    return client.get_fails_ ? E_FAIL : S_OK;
  }
  static HRESULT on_set(void* context, const WHV_REGISTER_NAME* names, UINT32 count,
                        const WHV_REGISTER_VALUE* values) {
    EmulatorTest& client = of(context);
    if (client.set_fails_) return E_FAIL;
    EXPECT_EQ(reinterpret_cast<UINT64>(values) % 16, 0u);  // as WHP wants them
    for (UINT32 i = 0; i < count; ++i) client.registers_[names[i]] = values[i].Reg64;
    return S_OK;
  }
  static HRESULT on_translate(void* context, WHV_GUEST_VIRTUAL_ADDRESS gva, WHV_TRANSLATE_GVA_FLAGS,
                              WHV_TRANSLATE_GVA_RESULT_CODE* code,
                              WHV_GUEST_PHYSICAL_ADDRESS* gpa) {
    if (of(context).translate_fails_) return E_FAIL;
    EXPECT_EQ(gva % kPageBytes, 0u);
    *code = gva < kTablesEnd ? WHvTranslateGvaResultSuccess : WHvTranslateGvaResultPageNotPresent;
    *gpa = gva;
    return S_OK;
  }

  WHV_EMULATOR_STATUS run_port(UINT32 size, bool is_write) {
    WHV_X64_IO_PORT_ACCESS_CONTEXT access{};
    access.PortNumber = 0x3F8;
    access.AccessInfo.AccessSize = size & 7u;
    access.AccessInfo.IsWrite = is_write;
    access.Rax = registers_[WHvX64RegisterRax];
    vp_.InstructionLength = 1;
    return emulator_.run_port(this, vp_, access);
  }
  WHV_EMULATOR_STATUS run_memory(std::initializer_list<int> code) {
    memory_.InstructionByteCount = static_cast<UINT8>(code.size());
    std::ranges::transform(code, memory_.InstructionBytes,
                           [](int byte) { return static_cast<UINT8>(byte); });
    return emulator_.run_memory(this, vp_, memory_);
  }

  WHV_EMULATOR_STATUS run_port_string(std::initializer_list<int> code) {
    WHV_X64_IO_PORT_ACCESS_CONTEXT access{};
    access.PortNumber = 0x3F8;
    access.AccessInfo.StringOp = 1;
    access.InstructionByteCount = static_cast<UINT8>(code.size());
    std::ranges::transform(code, access.InstructionBytes,
                           [](int byte) { return static_cast<UINT8>(byte); });
    return emulator_.run_port(this, vp_, access);
  }

  std::map<WHV_REGISTER_NAME, UINT64> registers_;
  std::map<UINT64, UINT8> ram_;
  UINT64 device_ = 0;
  int accesses_ = 0;
  UINT16 port_number_ = 0;
  bool device_fails_ = false;
  bool get_fails_ = false;
  bool set_fails_ = false;
  bool translate_fails_ = false;
  WHV_VP_EXIT_CONTEXT vp_{};
  WHV_MEMORY_ACCESS_CONTEXT memory_{};
  const Emulator emulator_{
      {sizeof(WHV_EMULATOR_CALLBACKS), 0, on_port, on_memory, on_get, on_set, on_translate}};
};

TEST_F(EmulatorTest, APortIsReadIntoTheLowBytes) {
  registers_[WHvX64RegisterRax] = 0x1122'3344'5566'7788;
  device_ = 0xAB;
  EXPECT_EQ(run_port(1, false).EmulationSuccessful, 1u);
  EXPECT_EQ(registers_[WHvX64RegisterRax], 0x1122'3344'5566'77ABu);
  EXPECT_EQ(registers_[WHvX64RegisterRip], kRip + 1);
  EXPECT_EQ(port_number_, 0x3F8);
}

TEST_F(EmulatorTest, APortIsWritten) {
  registers_[WHvX64RegisterRax] = 0x1122'3344;
  EXPECT_EQ(run_port(2, true).EmulationSuccessful, 1u);
  EXPECT_EQ(device_, 0x3344u);
  EXPECT_EQ(registers_[WHvX64RegisterRip], kRip + 1);
}

TEST_F(EmulatorTest, MemoryIsReadAndWritten) {
  device_ = 0x8877'6655;
  registers_[WHvX64RegisterRcx] = ~UINT64{0};
  EXPECT_EQ(run_memory({0x8B, 0x0F}).EmulationSuccessful, 1u);  // mov ecx, [rdi]
  EXPECT_EQ(registers_[WHvX64RegisterRcx], 0x8877'6655u);
  EXPECT_EQ(registers_[WHvX64RegisterRip], kRip + 2);
  registers_[WHvX64RegisterRdx] = 0x42;
  EXPECT_EQ(run_memory({0x88, 0x17}).EmulationSuccessful, 1u);  // mov [rdi], dl
  EXPECT_EQ(device_, 0x8877'6642u);
}

TEST_F(EmulatorTest, ChangesInPlaceAndTheirFlagsAreSet) {
  device_ = 1;
  vp_.Rflags = 2;
  EXPECT_EQ(run_memory({0x83, 0x2F, 0x01}).EmulationSuccessful, 1u);  // sub dword [rdi], 1
  EXPECT_EQ(device_, 0u);
  EXPECT_EQ(accesses_, 2);
  EXPECT_NE(registers_[WHvX64RegisterRflags] & 0x40, 0u);
}

TEST_F(EmulatorTest, WhatItCannotRunChangesNothing) {
  EXPECT_EQ(run_memory({0xF3, 0xA6}).InternalEmulationFailure, 1u);  // repe cmpsb
  EXPECT_EQ(run_memory({0x6C}).InternalEmulationFailure, 1u);        // insb: it is no port's exit
  EXPECT_EQ(run_port_string({0xEC}).InternalEmulationFailure, 1u);   // in al, dx: no string
  EXPECT_EQ(run_memory({0x8B}).InternalEmulationFailure, 1u);
  EXPECT_EQ(run_memory({}).InternalEmulationFailure, 1u);
  EXPECT_EQ(run_port(3, true).InternalEmulationFailure, 1u);
  EXPECT_TRUE(registers_.count(WHvX64RegisterRip) == 0);
}

TEST_F(EmulatorTest, AnAccessFromRamIntoADeviceIsTwo) {
  memory_.Gpa = 0x10000;  // of the page where nothing is; it began before
  registers_[WHvX64RegisterRdi] = 0xFFFE;
  ram_[0xFFFE] = 0x11;
  ram_[0xFFFF] = 0x22;
  device_ = 0x4433;
  EXPECT_EQ(run_memory({0x8B, 0x0F}).EmulationSuccessful, 1u);  // mov ecx, [rdi]
  EXPECT_EQ(registers_[WHvX64RegisterRcx], 0x4433'2211u);
  registers_[WHvX64RegisterRdx] = 0xAABB'CCDD;
  memory_.AccessInfo.AccessType = WHvMemoryAccessWrite;
  EXPECT_EQ(run_memory({0x89, 0x17}).EmulationSuccessful, 1u);  // mov [rdi], edx
  EXPECT_EQ(ram_[0xFFFE], 0xDD);
  EXPECT_EQ(ram_[0xFFFF], 0xCC);
  EXPECT_EQ(device_, 0xAABBu);
  EXPECT_EQ(accesses_, 2);

  registers_[WHvX64RegisterRdi] = 0x10000;  // and one that begins there is one
  EXPECT_EQ(run_memory({0x8B, 0x0F}).EmulationSuccessful, 1u);
  EXPECT_EQ(registers_[WHvX64RegisterRcx], 0xAABBu);
}

TEST_F(EmulatorTest, AnAccessFromADeviceIntoAPageThatIsNotThereFails) {
  memory_.Gpa = kTablesEnd - 2;
  registers_[WHvX64RegisterRdi] = kTablesEnd - 2;
  EXPECT_EQ(run_memory({0x8B, 0x0F}).GuestCannotBeFaulted, 1u);
  translate_fails_ = true;
  EXPECT_EQ(run_memory({0x8B, 0x0F}).TranslateGvaPageCallbackFailed, 1u);
  EXPECT_TRUE(registers_.count(WHvX64RegisterRip) == 0);
}

TEST_F(EmulatorTest, AStringIsMovedFromADeviceToRam) {
  device_ = 0xA1B2'C3D4;
  registers_[WHvX64RegisterRcx] = 3;
  registers_[WHvX64RegisterRsi] = memory_.Gpa;
  registers_[WHvX64RegisterRdi] = 0x2000 - 2;                   // over the end of a page
  EXPECT_EQ(run_memory({0xF3, 0xA5}).EmulationSuccessful, 1u);  // rep movsd
  EXPECT_EQ(accesses_, 3);
  EXPECT_EQ(ram_[0x1FFE], 0xD4);
  EXPECT_EQ(ram_[0x2001], 0xA1);
  EXPECT_EQ(ram_[0x2009], 0xA1);
  EXPECT_EQ(registers_[WHvX64RegisterRcx], 0u);
  EXPECT_EQ(registers_[WHvX64RegisterRdi], 0x2000u - 2 + 12);
  EXPECT_EQ(registers_[WHvX64RegisterRip], kRip + 2);
}

TEST_F(EmulatorTest, ALongStringIsLeftToTheGuestInTheMiddle) {
  registers_[WHvX64RegisterRcx] = 5000;
  registers_[WHvX64RegisterRdi] = 0x100;
  registers_[WHvX64RegisterRax] = 0x77;
  EXPECT_EQ(run_memory({0xF3, 0xAA}).EmulationSuccessful, 1u);  // rep stosb
  EXPECT_EQ(registers_[WHvX64RegisterRcx], 904u);
  EXPECT_EQ(registers_[WHvX64RegisterRip], kRip);
  EXPECT_EQ(run_memory({0xF3, 0xAA}).EmulationSuccessful, 1u);
  EXPECT_EQ(registers_[WHvX64RegisterRip], kRip + 2);
  EXPECT_EQ(ram_.size(), 5000u);
}

TEST_F(EmulatorTest, AStringStopsWhereTheGuestsTablesEnd) {
  registers_[WHvX64RegisterRcx] = 8;
  registers_[WHvX64RegisterRdi] = kTablesEnd - 8;
  memory_.Gpa = kTablesEnd - 8;
  EXPECT_EQ(run_memory({0xF3, 0xAB}).EmulationSuccessful, 1u);  // rep stosd
  EXPECT_EQ(registers_[WHvX64RegisterRcx], 6u);
  EXPECT_EQ(registers_[WHvX64RegisterRip], kRip);
  EXPECT_EQ(run_memory({0xF3, 0xAB}).GuestCannotBeFaulted, 1u);
  EXPECT_EQ(registers_[WHvX64RegisterRcx], 6u);
}

TEST_F(EmulatorTest, StringsOfAPortAreReadAndWritten) {
  device_ = 0x5A;
  registers_[WHvX64RegisterRcx] = 2;
  registers_[WHvX64RegisterRdi] = 0x300;
  EXPECT_EQ(run_port_string({0xF3, 0x6C}).EmulationSuccessful, 1u);  // rep insb
  EXPECT_EQ(ram_[0x301], 0x5A);
  ram_[0x300] = 0x34;
  ram_[0x301] = 0x12;
  registers_[WHvX64RegisterRsi] = 0x300;
  EXPECT_EQ(run_port_string({0x66, 0x6F}).EmulationSuccessful, 1u);  // outsw
  EXPECT_EQ(device_, 0x1234u);
  EXPECT_EQ(port_number_, 0x3F8);
  EXPECT_EQ(registers_[WHvX64RegisterRsi], 0x302u);
}

TEST_F(EmulatorTest, WhichCallFailedIsTold) {
  device_fails_ = true;
  EXPECT_EQ(run_port(1, false).IoPortCallbackFailed, 1u);
  EXPECT_EQ(run_memory({0x8B, 0x0F}).MemoryCallbackFailed, 1u);
  device_fails_ = false;
  get_fails_ = true;
  EXPECT_EQ(run_memory({0x8B, 0x0F}).GetVirtualProcessorRegistersCallbackFailed, 1u);
  get_fails_ = false;
  EXPECT_TRUE(registers_.count(WHvX64RegisterRip) == 0);
  set_fails_ = true;
  const auto status = run_port(1, false);
  EXPECT_EQ(status.SetVirtualProcessorRegistersCallbackFailed, 1u);
  EXPECT_EQ(status.EmulationSuccessful, 0u);
}

}  // namespace
}  // namespace runhv::winhv_linux
