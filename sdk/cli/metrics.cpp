// SPDX-License-Identifier: Apache-2.0
#include "metrics.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <thread>

#include "landfall/version.hpp"

namespace landfall::cli {
namespace {

constexpr std::size_t kRequestBytesMax = 4096;
constexpr int kPatience_ms = 2000;

void add(std::string& out, const char* name, const char* kind, const char* help,
         const std::string& samples) {
  out += std::string{"# HELP "} + name + " " + help + "\n# TYPE " + name + " " + kind + "\n";
  out += samples;
}

std::string sample(const char* name, const std::string& labels, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), " %.17g\n", value);
  return name + (labels.empty() ? "" : "{" + labels + "}") + text.data();
}

void add_one(std::string& out, const char* name, const char* kind, const char* help, double value) {
  add(out, name, kind, help, sample(name, "", value));
}

class Server final : public MetricsServer {
 public:
  Server(Fd listener, Fd stop, Address address)
      : listener_{std::move(listener)}, stop_{std::move(stop)}, address_{std::move(address)} {
    thread_ = std::thread{[this] { serve(); }};
  }
  ~Server() override {
    ::eventfd_write(stop_.get(), 1);
    thread_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const Address& address() const noexcept override { return address_; }
  void publish(std::string text) override {
    const std::lock_guard lock{mutex_};
    text_ = std::move(text);
  }

 private:
  /// False: asked to stop.
  bool wait_for(int fd, short events, int timeout_ms, bool& ret_ready) const {
    std::array<pollfd, 2> fds{{{fd, events, 0}, {stop_.get(), POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), timeout_ms);
    ret_ready = fds[0].revents != 0;
    return fds[1].revents == 0;
  }

  void serve() {
    for (;;) {
      bool ready = false;
      if (!wait_for(listener_.get(), POLLIN, -1, ready)) return;
      const Fd client{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
      if (client && !answer(client.get())) return;
    }
  }

  bool answer(int client) {
    std::string request;
    std::array<char, 1024> part{};
    while (request.find("\r\n\r\n") == request.npos && request.size() < kRequestBytesMax) {
      bool ready = false;
      if (!wait_for(client, POLLIN, kPatience_ms, ready)) return false;
      const ssize_t n = ready ? ::recv(client, part.data(), part.size(), 0) : 0;
      if (n <= 0) return true;  // gone, or too slow
      request.append(part.data(), static_cast<std::size_t>(n));
    }
    std::string body = "see /metrics\n", status = "404 Not Found";
    if (request.starts_with("GET /metrics ")) {
      const std::lock_guard lock{mutex_};
      body = text_;
      status = "200 OK";
    }
    const std::string reply = "HTTP/1.1 " + status +
                              "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                              "Content-Length: " +
                              std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
    for (std::string_view rest = reply; !rest.empty();) {
      bool ready = false;
      if (!wait_for(client, POLLOUT, kPatience_ms, ready)) return false;
      const ssize_t n = ready ? ::send(client, rest.data(), rest.size(), MSG_NOSIGNAL) : 0;
      if (n <= 0) return true;
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
    ::shutdown(client, SHUT_WR);
    return true;
  }

  const Fd listener_, stop_;
  const Address address_;
  std::mutex mutex_;  // guards text_
  std::string text_;
  std::thread thread_;
};

std::uint16_t port_of(int fd) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  return ntohs(bound.ss_family == AF_INET ? reinterpret_cast<sockaddr_in*>(&bound)->sin_port
                                          : reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port);
}

}  // namespace

std::string metrics_text(const Progress& progress, Group& group) {
  std::string out;
  add(out, "landfall_build_info", "gauge", "The version that answers.",
      sample("landfall_build_info", "version=\"" + std::string{version()} + "\"", 1));
  std::string bytes;
  const Verdict verdict = group.verdict();
  for (std::size_t i = 0; i < kPlacements; ++i)
    bytes += sample("landfall_rx_bytes_total",
                    "placement=\"" + std::string{name(static_cast<Placement>(i))} + "\"",
                    static_cast<double>(verdict.bytes[i]));
  add(out, "landfall_rx_bytes_total", "counter", "Payload received, by how it came to memory.",
      bytes);
  add(out, "landfall_transport_info", "gauge", "The transport that was chosen.",
      sample("landfall_transport_info", "transport=\"" + group.decision().chosen + "\"", 1));
  add_one(out, "landfall_rx_streams_total", "counter", "Connections that have begun.",
          static_cast<double>(progress.streams));
  add_one(out, "landfall_rx_streams_failed_total", "counter", "Connections that failed.",
          static_cast<double>(progress.streams_failed));
  add_one(out, "landfall_rx_streams", "gauge", "Connections that are open.",
          static_cast<double>(progress.streams_open));
  add_one(out, "landfall_rx_files_total", "counter", "Files that were stored.",
          static_cast<double>(progress.files));
  add(out, "landfall_cpu_seconds_total", "counter", "CPU time of the receiving thread.",
      sample("landfall_cpu_seconds_total", "work=\"receiving\"", progress.cpu_receiving) +
          sample("landfall_cpu_seconds_total", "work=\"storing\"", progress.cpu_storing));
  add_one(out, "landfall_region_bytes", "gauge", "Size of the memory that bytes land in.",
          static_cast<double>(group.memory().size_bytes()));
  std::uint64_t held = 0;
  for (std::size_t i = 0; i < group.size(); ++i) held += group[i].held_bytes();
  add_one(out, "landfall_region_held_bytes", "gauge", "Of it, what is held by received bytes.",
          static_cast<double>(held));
  return out;
}

Result<std::unique_ptr<MetricsServer>> MetricsServer::open(const Address& at) {
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(at.port);
  const int failed =
      ::getaddrinfo(at.host.empty() ? nullptr : at.host.c_str(), port.c_str(), &hints, &found);
  if (failed != 0)
    return Error{Errc::not_found, "metrics", ReasonCode::address_not_found, Origin::resolver,
                 failed};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned{found, ::freeaddrinfo};
  Fd listener{::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const int on = 1;
  if (!listener || ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(listener.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(listener.get(), 16) != 0)
    return os_error("metrics", errno == EADDRINUSE ? ReasonCode::address_in_use : ReasonCode::none);
  Fd stop{::eventfd(0, EFD_CLOEXEC)};
  if (!stop) return os_error("eventfd");
  Address bound = at;
  bound.port = port_of(listener.get());
  return std::unique_ptr<MetricsServer>{
      std::make_unique<Server>(std::move(listener), std::move(stop), std::move(bound))};
}

}  // namespace landfall::cli
