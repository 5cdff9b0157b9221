// SPDX-License-Identifier: Apache-2.0
// A peer that connects as landfall's would (sdk/docs/wire.md, spelt out here by hand) and then does
// what none does. It never ends the connection by itself.
//   rdma_stranger connect HOST PORT WHAT [ADDRESS RKEY]    as a sender
//   rdma_stranger listen HOST WHAT [ADDRESS RKEY]          as a receiver; prints "port=N"
// WHAT: write, write_imm, read or add - at ADDRESS of the other side's memory, by RKEY; long - a
// message that no slot holds; bare - a message without what stands beside it. Ends with 0 when its
// connection was ended.
#include <arpa/inet.h>
#include <infiniband/verbs.h>
#include <netdb.h>
#include <poll.h>
#include <rdma/rdma_cma.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr int kPatienceMs = 20000;
constexpr std::size_t kLong = 1u << 20;
constexpr std::uint32_t kSlot = 4096;
constexpr unsigned char kMark = 0xee;  // what it would leave in others' memory

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "rdma_stranger: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}
template <class T>
T* must(T* got, const char* what) {
  if (got == nullptr) die(what);
  return got;
}
void must(int answer, const char* what) {
  if (answer != 0) die(what);
}

struct Stranger {
  std::string what;
  std::uint64_t address = 0;
  std::uint32_t rkey = 0;
  rdma_event_channel* channel = nullptr;
  rdma_cm_id* id = nullptr;
  ibv_qp* qp = nullptr;
  ibv_cq* cq = nullptr;
  ibv_mr* mr = nullptr;

  rdma_cm_event* next() {
    pollfd fd{channel->fd, POLLIN, 0};
    if (::poll(&fd, 1, kPatienceMs) != 1) die("nothing more is said");
    rdma_cm_event* event = nullptr;
    must(rdma_get_cm_event(channel, &event), "rdma_get_cm_event");
    return event;
  }
  /// The next event is this one; what it is about stays valid until the one after it.
  rdma_cm_id* expect(rdma_cm_event_type type) {
    rdma_cm_event* const event = next();
    rdma_cm_id* const about = event->id;
    if (event->event != type) {
      std::fprintf(stderr, "%s instead of %s\n", rdma_event_str(event->event),
                   rdma_event_str(type));
      std::exit(1);
    }
    rdma_ack_cm_event(event);
    return about;
  }

  void go_to(ibv_qp_state state) {
    ibv_qp_attr attributes{};
    int mask = 0;
    attributes.qp_state = state;
    must(rdma_init_qp_attr(id, &attributes, &mask), "rdma_init_qp_attr");
    // More than was agreed: what is asked for is to get as far as the other side.
    if (state == IBV_QPS_RTS) attributes.max_rd_atomic = 1;
    must(ibv_modify_qp(qp, &attributes, mask), "ibv_modify_qp");
  }

  void make_qp() {
    ibv_pd* const pd = must(ibv_alloc_pd(id->verbs), "ibv_alloc_pd");
    cq = must(ibv_create_cq(id->verbs, 64, nullptr, nullptr, 0), "ibv_create_cq");
    auto* const memory = must(static_cast<unsigned char*>(std::malloc(kLong)), "malloc");
    std::memset(memory, kMark, kLong);
    const int access = IBV_ACCESS_LOCAL_WRITE;
    mr = must(ibv_reg_mr(pd, memory, kLong, access), "ibv_reg_mr");
    ibv_qp_init_attr wanted{};
    wanted.send_cq = wanted.recv_cq = cq;
    wanted.qp_type = IBV_QPT_RC;
    wanted.cap = {16, 16, 1, 1, 0};
    qp = must(ibv_create_qp(pd, &wanted), "ibv_create_qp");
    go_to(IBV_QPS_INIT);
    for (int i = 0; i < 8; ++i) {
      ibv_sge piece{reinterpret_cast<std::uintptr_t>(memory) + kLong / 2, kSlot, mr->lkey};
      ibv_recv_wr receive{}, *bad = nullptr;
      receive.sg_list = &piece;
      receive.num_sge = 1;
      must(ibv_post_recv(qp, &receive, &bad), "ibv_post_recv");
    }
  }

  /// "LFRX", version 1, the role; of a receiver: messages of 4096 bytes, a window of 8, 2 credits.
  static std::array<unsigned char, 32> hello(bool receives) {
    std::array<unsigned char, 32> said{'L', 'F', 'R', 'X', 1, 1};
    if (!receives) return said;
    said[5] = 2;
    said[10] = 16;
    said[15] = 8;
    said[19] = 2;
    return said;
  }
  rdma_conn_param parameters(const std::array<unsigned char, 32>& said) const {
    rdma_conn_param conn{};
    conn.private_data = said.data();
    conn.private_data_len = static_cast<std::uint8_t>(said.size());
    conn.initiator_depth = conn.responder_resources = 1;
    conn.retry_count = 6;
    conn.rnr_retry_count = 7;
    conn.qp_num = qp->qp_num;
    return conn;
  }

  void connect(sockaddr* to) {
    must(rdma_create_id(channel, &id, nullptr, RDMA_PS_TCP), "rdma_create_id");
    must(rdma_resolve_addr(id, nullptr, to, kPatienceMs), "rdma_resolve_addr");
    expect(RDMA_CM_EVENT_ADDR_RESOLVED);
    must(rdma_resolve_route(id, kPatienceMs), "rdma_resolve_route");
    expect(RDMA_CM_EVENT_ROUTE_RESOLVED);
    make_qp();
    const auto said = hello(false);
    rdma_conn_param conn = parameters(said);
    must(rdma_connect(id, &conn), "rdma_connect");
    expect(RDMA_CM_EVENT_CONNECT_RESPONSE);
    go_to(IBV_QPS_RTR);
    go_to(IBV_QPS_RTS);
    must(rdma_establish(id), "rdma_establish");
  }

  void listen(sockaddr* at) {
    rdma_cm_id* listening = nullptr;
    must(rdma_create_id(channel, &listening, nullptr, RDMA_PS_TCP), "rdma_create_id");
    must(rdma_bind_addr(listening, at), "rdma_bind_addr");
    must(rdma_listen(listening, 1), "rdma_listen");
    std::printf("port=%u\n", unsigned{ntohs(rdma_get_src_port(listening))});
    std::fflush(stdout);
    id = expect(RDMA_CM_EVENT_CONNECT_REQUEST);
    make_qp();
    go_to(IBV_QPS_RTR);
    go_to(IBV_QPS_RTS);
    const auto said = hello(true);
    rdma_conn_param conn = parameters(said);
    must(rdma_accept(id, &conn), "rdma_accept");
    expect(RDMA_CM_EVENT_ESTABLISHED);
  }

  void do_it() {
    ibv_sge piece{reinterpret_cast<std::uintptr_t>(mr->addr), 64, mr->lkey};
    ibv_send_wr request{}, *bad = nullptr;
    request.sg_list = &piece;
    request.num_sge = 1;
    request.send_flags = IBV_SEND_SIGNALED;
    request.wr.rdma = {address, rkey};
    if (what == "write") {
      request.opcode = IBV_WR_RDMA_WRITE;
    } else if (what == "write_imm") {
      request.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
    } else if (what == "read") {
      request.opcode = IBV_WR_RDMA_READ;
    } else if (what == "add") {
      request.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD;
      request.wr.atomic = {address, 1, 0, rkey};
      piece.length = 8;
    } else if (what == "long") {
      request.opcode = IBV_WR_SEND_WITH_IMM;
      piece.length = kLong;
      std::memset(mr->addr, 0, kLong);  // as a message its bytes may come into a slot
    } else if (what == "bare") {
      request.opcode = IBV_WR_SEND;
      std::memset(mr->addr, 0, kLong);
    } else {
      die("what?");
    }
    must(ibv_post_send(qp, &request, &bad), "ibv_post_send");
    // Rejected: the other side had not yet heard that the connection stands.
    const rdma_cm_event_type end = next()->event;
    if (end != RDMA_CM_EVENT_DISCONNECTED && end != RDMA_CM_EVENT_REJECTED) {
      std::fprintf(stderr, "%s instead of an end\n", rdma_event_str(end));
      std::exit(1);
    }
    ibv_wc completion{};
    if (ibv_poll_cq(cq, 1, &completion) == 1)
      std::printf("%s: %s\n", what.c_str(), ibv_wc_status_str(completion.status));
  }
};

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  const int beside = verb == "connect" ? 1 : 0;
  if ((verb != "connect" && verb != "listen") || argc < 4 + beside) {
    std::fprintf(stderr, "usage: see the top of stranger.cpp\n");
    return 64;
  }
  Stranger stranger;
  stranger.what = argv[3 + beside];
  if (argc > 5 + beside) {
    stranger.address = std::strtoull(argv[4 + beside], nullptr, 0);
    stranger.rkey = static_cast<std::uint32_t>(std::strtoul(argv[5 + beside], nullptr, 0));
  }
  addrinfo* at = nullptr;
  if (::getaddrinfo(argv[2], beside != 0 ? argv[3] : "0", nullptr, &at) != 0) die("getaddrinfo");
  stranger.channel = must(rdma_create_event_channel(), "rdma_create_event_channel");
  if (verb == "connect")
    stranger.connect(at->ai_addr);
  else
    stranger.listen(at->ai_addr);
  stranger.do_it();
  ::freeaddrinfo(at);
  return 0;  // the kernel takes back what it has
}
