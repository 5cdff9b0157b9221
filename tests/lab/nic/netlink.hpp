// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace landfall::lab {

/// One request of generic netlink, built attribute by attribute.
class Request {
 public:
  Request(std::uint16_t family, std::uint8_t command) : bytes_(NLMSG_HDRLEN + GENL_HDRLEN) {
    header()->nlmsg_type = family;
    header()->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    auto* generic = reinterpret_cast<genlmsghdr*>(&bytes_[NLMSG_HDRLEN]);
    generic->cmd = command;
    generic->version = 1;
  }

  void put(std::uint16_t type, const void* data, std::size_t size) {
    const auto at = bytes_.size();
    bytes_.resize(at + NLA_HDRLEN + NLA_ALIGN(size));
    auto* attribute = reinterpret_cast<nlattr*>(&bytes_[at]);
    attribute->nla_type = type;
    attribute->nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + size);
    if (size != 0) std::memcpy(&bytes_[at + NLA_HDRLEN], data, size);
  }
  void put(std::uint16_t type, std::uint32_t value) { put(type, &value, sizeof value); }
  void put_byte(std::uint16_t type, std::uint8_t value) { put(type, &value, sizeof value); }
  void put(std::uint16_t type, const std::string& text) {
    put(type, text.c_str(), text.size() + 1);
  }

  std::size_t nest(std::uint16_t type) {
    const auto at = bytes_.size();
    put(type | NLA_F_NESTED, nullptr, 0);
    return at;
  }
  void end(std::size_t nest) {
    reinterpret_cast<nlattr*>(&bytes_[nest])->nla_len =
        static_cast<std::uint16_t>(bytes_.size() - nest);
  }

  const std::vector<unsigned char>& finish() {
    header()->nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
    return bytes_;
  }

 private:
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }
  std::vector<unsigned char> bytes_;
};

/// A socket of generic netlink. A refusal is thrown with the kernel's own words.
class Netlink {
 public:
  Netlink() : fd_{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC)} {
    const int on = 1;
    ::setsockopt(fd_, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    ::setsockopt(fd_, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  }
  Netlink(const Netlink&) = delete;
  ~Netlink() { ::close(fd_); }

  std::uint16_t family(const std::string& name) {
    Request request{GENL_ID_CTRL, CTRL_CMD_GETFAMILY};
    request.put(CTRL_ATTR_FAMILY_NAME, name);
    const auto id = ask(request, CTRL_ATTR_FAMILY_ID);
    if (id.size() < 2) throw std::runtime_error("no netlink family " + name);
    std::uint16_t value = 0;
    std::memcpy(&value, id.data(), sizeof value);
    return value;
  }

  /// Sends and waits for the answer; returns the attribute `wanted` of it, empty if there is none.
  std::string ask(Request& request, std::uint16_t wanted) {
    const auto& bytes = request.finish();
    if (::send(fd_, bytes.data(), bytes.size(), 0) < 0) throw std::runtime_error("netlink: send");
    std::string found;
    for (;;) {
      alignas(nlmsghdr) char buffer[16384];
      auto left = ::recv(fd_, buffer, sizeof buffer, 0);
      if (left < 0) throw std::runtime_error("netlink: recv");
      for (auto* message = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(message, left);
           message = NLMSG_NEXT(message, left)) {
        if (message->nlmsg_type == NLMSG_ERROR) {
          check(message);
          return found;
        }
        find(message, wanted, &found);
      }
    }
  }

 private:
  static void each(const char* at, std::size_t size, auto&& visit) {
    while (size >= NLA_HDRLEN) {
      const auto* attribute = reinterpret_cast<const nlattr*>(at);
      if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > size) return;
      visit(attribute->nla_type & NLA_TYPE_MASK,
            std::string(at + NLA_HDRLEN, attribute->nla_len - NLA_HDRLEN));
      const std::size_t step = NLA_ALIGN(attribute->nla_len);
      if (step >= size) return;
      at += step;
      size -= step;
    }
  }

  static void find(const nlmsghdr* message, std::uint16_t wanted, std::string* found) {
    const auto* at = reinterpret_cast<const char*>(message) + NLMSG_HDRLEN + GENL_HDRLEN;
    each(at, message->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN, [&](int type, std::string value) {
      if (type == wanted) *found = std::move(value);
    });
  }

  static void check(const nlmsghdr* message) {
    nlmsgerr error;
    std::memcpy(&error, reinterpret_cast<const char*>(message) + NLMSG_HDRLEN, sizeof error);
    if (error.error == 0) return;
    std::string text = std::strerror(-error.error);
    const auto skip = NLMSG_HDRLEN + sizeof error;
    if ((message->nlmsg_flags & NLM_F_ACK_TLVS) != 0)
      each(reinterpret_cast<const char*>(message) + skip, message->nlmsg_len - skip,
           [&](int type, const std::string& value) {
             if (type == NLMSGERR_ATTR_MSG) text += ": " + value.substr(0, value.find('\0'));
           });
    throw std::runtime_error(text);
  }

  int fd_;
};

}  // namespace landfall::lab
