// SPDX-License-Identifier: Apache-2.0
// How receives that are under way come to their end: before detach(), and when the queue stops.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "tcp/uring_queue.hpp"

namespace landfall::tcp {

void UringQueue::stash_completions() {
  while (const io_uring_cqe* cqe = ring_.peek()) {
    stash_.push_back({cqe->user_data, cqe->res, cqe->flags});
    ring_.done_with_one();
  }
}

landfall_errc UringQueue::settle(Flow& flow) {
  if (const auto code = enable(); code != LANDFALL_ERRC_ok) return code;
  const auto is_its = [&flow](const UringCompletion& completion) {
    return completion.user_data > kKindMask && flow_in(completion.user_data) == &flow;
  };
  const auto is_last = [&](const UringCompletion& completion) {
    return is_its(completion) && is_terminal(completion);
  };
  if (flow.in_flight) {
    stash_completions();
    if (!flow.cancelling && !request_cancel(flow)) return LANDFALL_ERRC_io;
    while (std::none_of(stash_.begin(), stash_.end(), is_last)) {
      const int code = ring_.enter_and_wait(1, UINT64_MAX);
      stash_completions();
      if (code < 0 && code != -EINTR && code != -EAGAIN && code != -EBUSY && code != -ETIME)
        return authoring::errc_of(-code);
    }
  }
  for (const UringCompletion& completion : stash_) {
    if (!is_its(completion)) continue;
    if (completion.result > 0) return LANDFALL_ERRC_busy;
    if (completion.result < 0 && completion.result != -ECANCELED && completion.result != -ENOBUFS)
      return LANDFALL_ERRC_closed;
  }
  const auto kept = std::remove_if(stash_.begin(), stash_.end(), is_its);
  stash_.erase(kept, stash_.end());
  flow.in_flight = false;
  forget(flow);
  return LANDFALL_ERRC_ok;
}

/// Cancels everything and waits for it. False: the kernel would not be entered.
bool UringQueue::reap_all() noexcept {
  const auto any_in_flight = [this] {
    for (const Flow* flow = newest(); flow != nullptr; flow = flow->older) {
      if (flow->in_flight) return true;
    }
    return false;
  };
  for (const UringCompletion& completion : stash_) {
    if (completion.user_data > kKindMask && is_terminal(completion))
      flow_in(completion.user_data)->in_flight = false;
  }
  stash_.clear();
  bool asked = false;
  while (any_in_flight()) {
    if (!asked) {
      io_uring_sqe* sqe = ring_.request();
      if (sqe == nullptr) return false;
      io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
      sqe->user_data = kCancel;
      asked = true;
    }
    const int code = ring_.enter_and_wait(1, 1'000'000'000);
    if (code < 0 && code != -EINTR && code != -EAGAIN && code != -EBUSY) return false;
    while (const io_uring_cqe* cqe = ring_.peek()) {
      const UringCompletion completion{cqe->user_data, cqe->res, cqe->flags};
      ring_.done_with_one();
      if (completion.user_data > kKindMask && is_terminal(completion))
        flow_in(completion.user_data)->in_flight = false;
    }
  }
  return true;
}

/// On the issuing thread everything in flight is cancelled and waited for. Another thread may not
/// enter the ring (SINGLE_ISSUER: -EEXIST), and need not: a receive copies in one of two places
/// only, the issuing thread while it is inside of io_uring_enter(2) (IORING_SETUP_DEFER_TASKRUN:
/// __io_run_local_work), or an io-wq worker. Work that is left when the ring goes is run by a
/// kernel thread, which cancels (io_ring_exit_work, io_should_terminate_tw; before Linux 6.12 it
/// ran io_poll_issue without an mm, where a copy to user memory fails). Multishot receives never go
/// to io-wq (io_wq_submit_work: REQ_F_APOLL_MULTISHOT); single ones may after many spurious
/// wake-ups (APOLL_MAX_RETRY, io_uring/poll.c). So only where such are in flight we wait for the
/// ring's end. All in io_uring/ of Linux 6.1 to 6.18.
void UringQueue::stop() noexcept {
  if (!ring_.is_open()) return;
  const bool settled = !enabled_ || (issuer_ == ::gettid() && reap_all());
  ring_.close();
  if (!settled && singles_ != 0) {
    // A descriptor of the ring in a forked child keeps it alive; a socket that is shut brings a
    // worker's receive to its end all the same.
    for (const Flow* flow = newest(); flow != nullptr; flow = flow->older) {
      if (flow->demand && flow->in_flight) ::shutdown(flow->socket.get(), SHUT_RDWR);
    }
    ring_.wait_until_gone();
  }
}

}  // namespace landfall::tcp
