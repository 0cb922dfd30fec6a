#include "container/network_messages.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstring>
#include <map>
#include <string>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::container {
namespace {

// Read back with the kernel's own headers.
template <class Head>
Head head_of(const platform::NetlinkMessage& message) {
  Head head;
  std::memcpy(&head, message.bytes().data() + NLMSG_HDRLEN, sizeof head);
  return head;
}

using Attributes = std::map<std::uint16_t, std::string>;

Attributes attributes(std::string_view bytes) {
  Attributes found;
  while (!bytes.empty()) {
    nlattr header;
    EXPECT_GE(bytes.size(), sizeof header);
    std::memcpy(&header, bytes.data(), sizeof header);
    EXPECT_GE(header.nla_len, sizeof header);
    EXPECT_LE(header.nla_len, bytes.size());
    found[header.nla_type] = bytes.substr(sizeof header, header.nla_len - sizeof header);
    bytes.remove_prefix(NLA_ALIGN(header.nla_len));
  }
  return found;
}

template <class Head>
Attributes attributes_of(const platform::NetlinkMessage& message) {
  const std::string_view text(reinterpret_cast<const char*>(message.bytes().data()),
                              message.size());
  return attributes(text.substr(NLMSG_SPACE(sizeof(Head))));
}

nlmsghdr header_of(const platform::NetlinkMessage& message) {
  nlmsghdr header;
  std::memcpy(&header, message.bytes().data(), sizeof header);
  EXPECT_EQ(header.nlmsg_len, message.size());
  return header;
}

platform::IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  return {4, {a, b, c, d}};
}
platform::IpAddress v6(std::uint8_t last) {
  platform::IpAddress address{16, {0xfd}};
  address.octets[15] = last;
  return address;
}
std::string raw(std::uint32_t number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

platform::NetworkInterface small(const std::string& name) {
  return {.index = 9, .name = name, .mac = {2, 1, 1, 1, 1, 1}, .mtu = 1450};
}

NetworkState state(const std::vector<platform::NetworkInterface>& interfaces) {
  NetworkState numbered;
  for (const auto& each : interfaces) {
    numbered.emplace(static_cast<std::uint32_t>(numbered.size()), each);
  }
  return numbered;
}

TEST(NetworkMessages, ALinkIsSetUpBeforeItHasItsNameAndIsUp) {
  const NetworkState interfaces = state({small("eth1"), small("eth0")});
  const auto messages = network_messages({}, interfaces);
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0].interface, 0u);
  EXPECT_EQ(messages[1].interface, 1u);
  EXPECT_EQ(header_of(messages[0].message).nlmsg_type, RTM_NEWLINK);
  const Attributes before = attributes_of<ifinfomsg>(messages[0].message);
  EXPECT_EQ(before.at(IFLA_IFNAME), std::string("runhv0\0", 7));
  EXPECT_EQ(before.at(IFLA_ADDRESS), "\x02\x01\x01\x01\x01\x01");
  EXPECT_EQ(before.at(IFLA_MTU), raw(1450));
  const std::string mode =
      attributes(attributes(before.at(IFLA_AF_SPEC)).at(AF_INET6)).at(IFLA_INET6_ADDR_GEN_MODE);
  EXPECT_EQ(mode, std::string(1, char{IN6_ADDR_GEN_MODE_NONE}));
  EXPECT_EQ(head_of<ifinfomsg>(messages[0].message).ifi_change, 0u);

  EXPECT_EQ(head_of<ifinfomsg>(messages[2].message).ifi_flags, unsigned{IFF_UP});
  EXPECT_EQ(attributes_of<ifinfomsg>(messages[2].message).at(IFLA_IFNAME),
            std::string("eth1\0", 5));
  EXPECT_EQ(messages[2].index_offset, NLMSG_HDRLEN + offsetof(ifinfomsg, ifi_index));
  EXPECT_EQ(messages[2].what, "bring up the interface eth1");
}

TEST(NetworkMessages, AddressesKeepWhatTheyAre) {
  std::vector<platform::NetworkInterface> interfaces{small("eth0")};
  interfaces[0].addresses.push_back({.local = v4(10, 0, 0, 2),
                                     .peer = v4(10, 0, 0, 9),
                                     .broadcast = v4(10, 0, 0, 255),
                                     .prefix_bits = 24,
                                     .scope = RT_SCOPE_LINK,
                                     .flags = IFA_F_PERMANENT | IFA_F_NOPREFIXROUTE});
  interfaces[0].addresses.push_back({.local = v6(2),
                                     .peer = v6(2),
                                     .prefix_bits = 64,
                                     .flags = IFA_F_TENTATIVE,
                                     .valid_s = 600,
                                     .preferred_s = 300});
  const auto messages = network_messages({}, state(interfaces));
  ASSERT_EQ(messages.size(), 4u);
  const auto head = head_of<ifaddrmsg>(messages[2].message);
  EXPECT_EQ(head.ifa_family, AF_INET);
  EXPECT_EQ(head.ifa_prefixlen, 24);
  EXPECT_EQ(head.ifa_scope, RT_SCOPE_LINK);
  Attributes found = attributes_of<ifaddrmsg>(messages[2].message);
  EXPECT_EQ(found.at(IFA_LOCAL), std::string("\x0a\0\0\x02", 4));
  EXPECT_EQ(found.at(IFA_ADDRESS), std::string("\x0a\0\0\x09", 4));
  EXPECT_EQ(found.at(IFA_BROADCAST), std::string("\x0a\0\0\xff", 4));
  EXPECT_EQ(found.at(IFA_FLAGS), raw(IFA_F_NOPREFIXROUTE));
  EXPECT_FALSE(found.contains(IFA_CACHEINFO));

  EXPECT_EQ(head_of<ifaddrmsg>(messages[3].message).ifa_family, AF_INET6);
  found = attributes_of<ifaddrmsg>(messages[3].message);
  EXPECT_EQ(found.at(IFA_ADDRESS).size(), 16u);
  EXPECT_FALSE(found.contains(IFA_LOCAL));
  EXPECT_EQ(found.at(IFA_FLAGS), raw(IFA_F_NODAD));
  EXPECT_EQ(found.at(IFA_CACHEINFO), raw(300) + raw(600) + raw(0) + raw(0));
}

TEST(NetworkMessages, RoutesWithoutAGatewayComeFirst) {
  std::vector<platform::NetworkInterface> interfaces{small("eth0"), small("eth1")};
  interfaces[0].routes.push_back({.gateway = v4(169, 254, 1, 1),
                                  .source = v4(10, 0, 0, 2),
                                  .type = RTN_UNICAST,
                                  .protocol = RTPROT_BOOT,
                                  .flags = RTNH_F_ONLINK,
                                  .priority = 7,
                                  .metrics = {{RTAX_MTU, 1300}}});
  interfaces[1].routes.push_back({.destination = v4(169, 254, 1, 1),
                                  .prefix_bits = 32,
                                  .scope = RT_SCOPE_LINK,
                                  .type = RTN_UNICAST,
                                  .protocol = RTPROT_BOOT});
  const auto messages = network_messages({}, state(interfaces));
  ASSERT_EQ(messages.size(), 6u);
  EXPECT_EQ(messages[4].interface, 1u);
  EXPECT_EQ(head_of<rtmsg>(messages[4].message).rtm_dst_len, 32);
  EXPECT_EQ(head_of<rtmsg>(messages[4].message).rtm_scope, RT_SCOPE_LINK);

  const NetworkMessage& by_gateway = messages[5];
  EXPECT_EQ(by_gateway.interface, 0u);
  const auto head = head_of<rtmsg>(by_gateway.message);
  EXPECT_EQ(head.rtm_table, RT_TABLE_MAIN);
  EXPECT_EQ(head.rtm_flags, unsigned{RTNH_F_ONLINK});
  EXPECT_EQ(head.rtm_protocol, RTPROT_BOOT);
  const Attributes found = attributes_of<rtmsg>(by_gateway.message);
  EXPECT_FALSE(found.contains(RTA_DST));
  EXPECT_EQ(found.at(RTA_GATEWAY), "\xa9\xfe\x01\x01");
  EXPECT_EQ(found.at(RTA_PREFSRC), std::string("\x0a\0\0\x02", 4));
  EXPECT_EQ(found.at(RTA_PRIORITY), raw(7));
  EXPECT_EQ(attributes(found.at(RTA_METRICS)).at(RTAX_MTU), raw(1300));
  // What the agent writes is the value of RTA_OIF.
  platform::NetlinkMessage patched = by_gateway.message;
  store_le<std::uint32_t>(patched.bytes(), by_gateway.index_offset, 3);
  EXPECT_EQ(attributes_of<rtmsg>(patched).at(RTA_OIF), raw(3));
}

TEST(NetworkMessages, NeighboursArePermanent) {
  std::vector<platform::NetworkInterface> interfaces{small("eth0")};
  interfaces[0].neighbours.push_back({.address = v6(9), .mac = {2, 0, 0, 0, 0, 9}});
  const auto messages = network_messages({}, state(interfaces));
  ASSERT_EQ(messages.size(), 3u);
  const auto head = head_of<ndmsg>(messages[2].message);
  EXPECT_EQ(head.ndm_family, AF_INET6);
  EXPECT_EQ(head.ndm_state, NUD_PERMANENT);
  const Attributes found = attributes_of<ndmsg>(messages[2].message);
  EXPECT_EQ(found.at(NDA_DST).size(), 16u);
  EXPECT_EQ(found.at(NDA_LLADDR), std::string("\x02\0\0\0\0\x09", 6));
}

TEST(NetworkMessages, ADeviceIsFoundByTheLastByteOfItsAddress) {
  EXPECT_EQ(network_device_mac(0).back(), 0);
  EXPECT_EQ(network_device_mac(7).back(), 7);
  EXPECT_EQ(network_device_mac(7).front() & 3, 2) << "a local address of one station";
}

TEST(NetworkMessages, OnlyWhatHasChangedIsSaid) {
  platform::NetworkInterface before = small("eth0");
  before.addresses = {{.local = v4(10, 0, 0, 2), .peer = v4(10, 0, 0, 2), .prefix_bits = 24},
                      {.local = v6(2), .peer = v6(2), .prefix_bits = 64, .valid_s = 100}};
  before.routes = {{.gateway = v4(10, 0, 0, 1)}};
  platform::NetworkInterface after = before;
  after.addresses[0].local = after.addresses[0].peer = v4(10, 0, 0, 3);
  after.addresses[1].valid_s = 99;
  after.routes = {{.gateway = v4(10, 0, 0, 9)}};
  EXPECT_TRUE(network_messages(state({before}), state({before})).empty());
  EXPECT_TRUE(is_same_link(before, after));

  const auto messages = network_messages(state({before}), state({after}));
  std::vector<unsigned> types;
  for (const auto& each : messages) types.push_back(header_of(each.message).nlmsg_type);
  EXPECT_EQ(types, (std::vector<unsigned>{RTM_DELROUTE, RTM_DELADDR, RTM_NEWADDR, RTM_NEWROUTE}));
  EXPECT_EQ(header_of(messages[0].message).nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
  EXPECT_EQ(attributes_of<rtmsg>(messages[0].message).at(RTA_GATEWAY),
            std::string("\x0a\0\0\x01", 4));
  EXPECT_EQ(attributes_of<ifaddrmsg>(messages[1].message).at(IFA_LOCAL),
            std::string("\x0a\0\0\x02", 4));
}

TEST(NetworkMessages, WhatComesLaterIsSetUpAndWhatHasGoneIsNotSpokenOf) {
  NetworkState before = state({small("eth0")});
  NetworkState after{{1, small("eth1")}};
  const auto messages = network_messages(before, after);
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].interface, 1u);
  EXPECT_EQ(attributes_of<ifinfomsg>(messages[0].message).at(IFLA_IFNAME),
            std::string("runhv1\0", 7));
  platform::NetworkInterface renamed = small("eth0");
  renamed.mtu = 9000;
  EXPECT_FALSE(is_same_link(small("eth0"), renamed));
  EXPECT_FALSE(is_same_link(small("eth0"), small("eth1")));
}

}  // namespace
}  // namespace runhv::container
