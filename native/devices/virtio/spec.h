// Numbers of virtio 1.2 that more than one file needs.
#pragma once

#include <cstdint>

namespace runhv::devices::virtio {

// §6: feature bits that belong to the transport and the queues.
inline constexpr std::uint64_t kFeatureIndirectDesc = 1ull << 28;
inline constexpr std::uint64_t kFeatureEventIdx = 1ull << 29;
inline constexpr std::uint64_t kFeatureVersion1 = 1ull << 32;

// §2.1: device status.
inline constexpr std::uint32_t kStatusAcknowledge = 1;
inline constexpr std::uint32_t kStatusDriver = 2;
inline constexpr std::uint32_t kStatusDriverOk = 4;
inline constexpr std::uint32_t kStatusFeaturesOk = 8;
inline constexpr std::uint32_t kStatusNeedsReset = 64;
inline constexpr std::uint32_t kStatusFailed = 128;

// §5: device IDs.
inline constexpr std::uint32_t kIdNetwork = 1;
inline constexpr std::uint32_t kIdBlock = 2;
inline constexpr std::uint32_t kIdConsole = 3;
inline constexpr std::uint32_t kIdEntropy = 4;
inline constexpr std::uint32_t kIdBalloon = 5;
inline constexpr std::uint32_t kIdSocket = 19;
inline constexpr std::uint32_t kIdFileSystem = 26;

// §2.7: split virtqueues.
inline constexpr std::uint16_t kMaxQueueSize = 32768;
inline constexpr std::uint16_t kDescNext = 1;
inline constexpr std::uint16_t kDescWrite = 2;
inline constexpr std::uint16_t kDescIndirect = 4;
inline constexpr std::uint64_t kDescBytes = 16;
inline constexpr std::uint16_t kAvailNoInterrupt = 1;
inline constexpr std::uint16_t kUsedNoNotify = 1;

// §4.2.2: the registers of the MMIO transport.
namespace mmio {
inline constexpr std::uint32_t kMagicValue = 0x000;
inline constexpr std::uint32_t kVersion = 0x004;
inline constexpr std::uint32_t kDeviceId = 0x008;
inline constexpr std::uint32_t kVendorId = 0x00c;
inline constexpr std::uint32_t kDeviceFeatures = 0x010;
inline constexpr std::uint32_t kDeviceFeaturesSel = 0x014;
inline constexpr std::uint32_t kDriverFeatures = 0x020;
inline constexpr std::uint32_t kDriverFeaturesSel = 0x024;
inline constexpr std::uint32_t kQueueSel = 0x030;
inline constexpr std::uint32_t kQueueNumMax = 0x034;
inline constexpr std::uint32_t kQueueNum = 0x038;
inline constexpr std::uint32_t kQueueReady = 0x044;
inline constexpr std::uint32_t kQueueNotify = 0x050;
inline constexpr std::uint32_t kInterruptStatus = 0x060;
inline constexpr std::uint32_t kInterruptAck = 0x064;
inline constexpr std::uint32_t kStatus = 0x070;
inline constexpr std::uint32_t kQueueDescLow = 0x080;
inline constexpr std::uint32_t kQueueDescHigh = 0x084;
inline constexpr std::uint32_t kQueueDriverLow = 0x090;
inline constexpr std::uint32_t kQueueDriverHigh = 0x094;
inline constexpr std::uint32_t kQueueDeviceLow = 0x0a0;
inline constexpr std::uint32_t kQueueDeviceHigh = 0x0a4;
inline constexpr std::uint32_t kShmSel = 0x0ac;
inline constexpr std::uint32_t kShmLenLow = 0x0b0;
inline constexpr std::uint32_t kShmLenHigh = 0x0b4;
inline constexpr std::uint32_t kShmBaseLow = 0x0b8;
inline constexpr std::uint32_t kShmBaseHigh = 0x0bc;
inline constexpr std::uint32_t kConfigGeneration = 0x0fc;
inline constexpr std::uint32_t kConfig = 0x100;

inline constexpr std::uint32_t kMagic = 0x74726976;  // "virt"
inline constexpr std::uint32_t kTransportVersion = 2;
inline constexpr std::uint32_t kInterruptUsedBuffer = 1;
inline constexpr std::uint32_t kInterruptConfigChange = 2;
}  // namespace mmio

}  // namespace runhv::devices::virtio
