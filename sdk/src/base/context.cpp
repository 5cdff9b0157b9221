// SPDX-License-Identifier: Apache-2.0
#include "landfall/base/context.hpp"

#include "base/context_core.hpp"
#include "base/plugin.hpp"

namespace landfall {

Context::Context(std::shared_ptr<detail::ContextCore> core) noexcept : core_{std::move(core)} {}
Context::Context(Context&&) noexcept = default;
Context& Context::operator=(Context&&) noexcept = default;
Context::~Context() = default;

Result<Context> Context::create(ContextOptions options) {
  const bool builtin = options.builtin_backends, installed = options.installed_backends;
  auto core = std::make_shared<detail::ContextCore>(std::move(options));
  if (builtin) LANDFALL_CHECK(core->add(detail::builtin_backends(), true, ""));
  if (builtin && installed) detail::load_installed(*core);
  return Context{std::move(core)};
}

Result<void> Context::load(const std::string& path) {
  auto loaded = detail::load_plugin(*core_, path);
  if (!loaded) core_->event(reason_from(loaded.error()));
  return loaded;
}

Result<void> Context::add(const landfall_backend* backend) {
  return core_->add({&backend, 1}, false, "");
}

std::vector<BackendInfo> Context::backends() const {
  std::vector<BackendInfo> infos;
  for (const detail::Backend& backend : core_->all())
    infos.push_back(
        {backend.descriptor->name, backend.descriptor->version, backend.descriptor->summary,
         backend.descriptor->kind == LANDFALL_KIND_TRANSPORT, backend.builtin, backend.path});
  return infos;
}

}  // namespace landfall
