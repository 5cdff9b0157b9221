// SPDX-License-Identifier: Apache-2.0
#include "nic/netlink.hpp"

#include <linux/genetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "landfall/abi/authoring.hpp"
#include "nic/decode.hpp"

namespace landfall::nic {
namespace {

// A listing that changes while it is read is read again; a host where that never ends is not
// waited for.
constexpr int kTornListingsMax = 8;

/// What libnl's callbacks collect. They are called from C: nothing is thrown through.
struct Collector {
  Bytes request;
  Answer answer;
  bool done = false;

  void refuse(int number) noexcept {
    answer.refusal.number = number;
    done = true;
  }
  static Bytes bytes_of(const nlmsghdr* header) {
    return {reinterpret_cast<const std::byte*>(header), header->nlmsg_len};
  }
  void end(const nlmsghdr* header) noexcept {
    done = true;
    try {
      answer.refusal = decode_refusal(bytes_of(header), request);
    } catch (const std::bad_alloc&) {
      refuse(ENOMEM);
    }
  }

  static int on_message(nl_msg* message, void* self) noexcept {
    auto& collector = *static_cast<Collector*>(self);
    try {
      const Bytes bytes = bytes_of(nlmsg_hdr(message));
      collector.answer.messages.emplace_back(bytes.begin(), bytes.end());
      return NL_OK;
    } catch (const std::bad_alloc&) {
      collector.refuse(ENOMEM);
      return NL_STOP;
    }
  }
  static int on_end(nl_msg* message, void* self) noexcept {
    static_cast<Collector*>(self)->end(nlmsg_hdr(message));
    return NL_STOP;
  }
  static int on_error(sockaddr_nl*, nlmsgerr* error, void* self) noexcept {
    // libnl hands over the inside of the message that it received.
    const auto* inside = reinterpret_cast<const std::byte*>(error);
    static_cast<Collector*>(self)->end(reinterpret_cast<const nlmsghdr*>(inside - NLMSG_HDRLEN));
    return NL_STOP;
  }
};

int errno_of_libnl(int code) {
  switch (code < 0 ? -code : code) {
    case NLE_NOMEM:
      return ENOMEM;
    case NLE_INTR:
      return EINTR;
    case NLE_PERM:
      return EPERM;
    case NLE_MSG_OVERFLOW:
    case NLE_MSG_TRUNC:
      return EMSGSIZE;
    default:
      return EIO;
  }
}

}  // namespace

bool Family::has(std::uint32_t command) const noexcept {
  return std::ranges::find(commands, command) != commands.end();
}

Result<Netlink> Netlink::open(int protocol, const landfall_host* host) {
  constexpr const char* kCall = "socket(AF_NETLINK)";
  int fd = -1;
  const int failed = authoring::attempt(
      host, kCall, [&] { return fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol); });
  if (failed != 0)
    return os_error(kCall, failed == EMFILE ? ReasonCode::nofile_limit : ReasonCode::none, failed);
  Fd owned{fd};
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0)
    return os_error("bind(AF_NETLINK)");
  // The kernel's words about a refusal. Without them refusals are told apart by errno alone.
  const int on = 1;
  ::setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  ::setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);

  nl_sock* socket = nl_socket_alloc();
  if (socket == nullptr) return os_error("nl_socket_alloc", ReasonCode::out_of_memory, ENOMEM);
  Netlink netlink{socket, host};
  if (const int code = nl_socket_set_fd(socket, protocol, fd); code < 0)
    return os_error("nl_socket_set_fd", ReasonCode::none, errno_of_libnl(code));
  owned.release();                    // libnl's now
  nl_socket_enable_msg_peek(socket);  // answers are read whole, however long
  return netlink;
}

Answer Netlink::ask(nl_msg* request) {
  Answer answer;
  for (int attempts = 0; attempts < kTornListingsMax; ++attempts) {
    bool torn = false;
    answer = ask_once(request, torn);
    if (!torn) return answer;
  }
  answer.refusal = {EAGAIN, "the listing changes faster than it can be read", 0};
  return answer;
}

Answer Netlink::ask_once(nl_msg* request, bool& ret_torn) {
  Collector collector;
  nlmsghdr* header = nlmsg_hdr(request);
  // So that an attempt after a torn listing gets a number of its own.
  header->nlmsg_seq = NL_AUTO_SEQ;
  if (const int injected = authoring::fault(host_, "send(AF_NETLINK)")) {
    collector.refuse(injected);
    return std::move(collector.answer);
  }
  if (const int code = nl_send_auto(socket_.get(), request); code < 0) {
    collector.refuse(errno_of_libnl(code));
    return std::move(collector.answer);
  }
  collector.request = Collector::bytes_of(header);

  const std::unique_ptr<nl_cb, decltype(&nl_cb_put)> callbacks{nl_cb_alloc(NL_CB_DEFAULT),
                                                               nl_cb_put};
  if (!callbacks) {
    collector.refuse(ENOMEM);
    return std::move(collector.answer);
  }
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, Collector::on_message, &collector);
  nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, Collector::on_end, &collector);
  nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, Collector::on_end, &collector);
  nl_cb_err(callbacks.get(), NL_CB_CUSTOM, Collector::on_error, &collector);
  while (!collector.done) {
    const int code = nl_recvmsgs(socket_.get(), callbacks.get());
    if (code == -NLE_DUMP_INTR) {
      ret_torn = true;
      break;
    }
    if (code < 0 && !collector.done) collector.refuse(errno_of_libnl(code));
  }
  return std::move(collector.answer);
}

Result<Family> Netlink::family(const char* name) {
  const Message request{nlmsg_alloc(), nlmsg_free};
  if (!request ||
      genlmsg_put(request.get(), NL_AUTO_PORT, NL_AUTO_SEQ, GENL_ID_CTRL, 0, NLM_F_REQUEST,
                  CTRL_CMD_GETFAMILY, 1) == nullptr ||
      nla_put_string(request.get(), CTRL_ATTR_FAMILY_NAME, name) < 0)
    return os_error("CTRL_CMD_GETFAMILY", ReasonCode::out_of_memory, ENOMEM);
  const Answer answer = ask(request.get());
  if (answer.refusal.number == ENOENT) return Family{};
  if (answer.refusal) return read_refused("a family of netlink", answer.refusal, "");
  return answer.messages.empty() ? Family{} : decode_family(answer.messages.front());
}

Result<Fd> Netlink::share_fd() const {
  return Fd::duplicate(nl_socket_get_fd(socket_.get()));
}

Message generic_message(const Family& family, std::uint8_t command, int flags) {
  Message message{nlmsg_alloc(), nlmsg_free};
  if (message && genlmsg_put(message.get(), NL_AUTO_PORT, NL_AUTO_SEQ, family.id, 0,
                             NLM_F_REQUEST | flags, command, 1) == nullptr)
    message.reset();
  return message;
}

}  // namespace landfall::nic
