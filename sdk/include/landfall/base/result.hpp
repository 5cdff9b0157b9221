// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <type_traits>
#include <utility>
#include <variant>

#include "landfall/base/error.hpp"

namespace landfall {

/// A value or an Error; the shape of std::expected<T, Error>, which g++ 12 lacks in C++20 mode.
///
/// [[nodiscard]]: an ignored error does not compile without a warning.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

  Result() requires std::is_void_v<T> : state_{std::in_place_index<0>} {}
  Result(Value value) requires(!std::is_void_v<T>)
      : state_{std::in_place_index<0>, std::move(value)} {}
  Result(Error error) : state_{std::in_place_index<1>, error} {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  /// Only with has_value().
  Value& operator*() & noexcept { return *std::get_if<0>(&state_); }
  const Value& operator*() const& noexcept { return *std::get_if<0>(&state_); }
  Value&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  Value* operator->() noexcept { return std::get_if<0>(&state_); }
  const Value* operator->() const noexcept { return std::get_if<0>(&state_); }

  /// Only without has_value().
  const Error& error() const noexcept { return *std::get_if<1>(&state_); }

 private:
  std::variant<Value, Error> state_;
};

}  // namespace landfall

#define LANDFALL_CONCAT_(a, b) a##b
#define LANDFALL_CONCAT(a, b) LANDFALL_CONCAT_(a, b)
#define LANDFALL_TRY_(result, declaration, expression) \
  auto result = (expression);                          \
  if (!result) return result.error();                  \
  declaration = std::move(*result)
/// LANDFALL_TRY(auto fd, open_it()): the value, or return the error from this function.
#define LANDFALL_TRY(declaration, expression) \
  LANDFALL_TRY_(LANDFALL_CONCAT(landfall_try_, __LINE__), declaration, expression)
/// For Result<void>.
#define LANDFALL_CHECK(expression)                                                          \
  do {                                                                                      \
    if (auto landfall_check = (expression); !landfall_check) return landfall_check.error(); \
  } while (false)
