// SPDX-License-Identifier: Apache-2.0
// The C table of a transport of messages. What a transport brings:
//
//   landfall_errc Medium::probe(const landfall_domain_spec&, const Options&, landfall_needs*,
//                               landfall_why*)
//   landfall_errc Medium::open(const landfall_domain_spec&, const Options&,
//                              std::unique_ptr<Device>*, landfall_why*)
//   constexpr const char* Medium::kName; constexpr Keys Medium::kKeys
#pragma once
#include "messages/queue.hpp"

namespace landfall::messages {

/// What is the same for all of them; `needs` is filled in either case.
landfall_errc check_spec(const landfall_domain_spec& spec, const Options& options,
                         landfall_needs* ret_needs, landfall_why* reterr_why);

/// All operations but probe and domain_open.
void fill_ops(landfall_transport_ops* ops) noexcept;

template <class Medium>
landfall_transport_ops make_ops() noexcept {
  landfall_transport_ops ops{};
  ops.struct_size = sizeof ops;
  ops.probe = [](const landfall_domain_spec* spec, landfall_needs* ret_needs, landfall_why* why) {
    return authoring::guarded(why, [&] {
      Options options;
      if (const auto code = read(spec->options, Medium::kName, Medium::kKeys, &options, why))
        return code;
      if (const auto code = check_spec(*spec, options, ret_needs, why)) return code;
      return Medium::probe(*spec, options, ret_needs, why);
    });
  };
  ops.domain_open = [](const landfall_domain_spec* spec, landfall_domain** ret_domain,
                       landfall_why* why) {
    return authoring::guarded(why, [&] {
      auto domain = std::make_unique<Domain>();
      if (const auto code =
              read(spec->options, Medium::kName, Medium::kKeys, &domain->options, why))
        return code;
      if (domain->options.slot_bytes == 0 && spec->slot_bytes != 0)
        domain->options.slot_bytes = slot_bytes_for({}, spec->slot_bytes, 0);
      domain->host = spec->host;
      domain->region_bytes = spec->region->size_bytes;
      if (const auto code = Medium::open(*spec, domain->options, &domain->device, why)) return code;
      *ret_domain = authoring::handle_of<landfall_domain>(domain.release());
      return landfall_errc{LANDFALL_ERRC_ok};
    });
  };
  fill_ops(&ops);
  return ops;
}

}  // namespace landfall::messages
