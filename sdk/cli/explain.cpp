// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "exit_code.hpp"
#include "report.hpp"
#include "verbs.hpp"

namespace landfall::cli {
namespace {

Json json_of_info(const ReasonInfo& info) {
  return {{"code", reason_id(info.code)},
          {"name", std::string{info.name}},
          {"text", std::string{info.text}},
          {"remedy", std::string{info.remedy}}};
}

std::string text_of_info(const ReasonInfo& info) {
  return reason_id(info.code) + "  " + std::string{info.name} +
         "\n  why: " + std::string{info.text} + "\n  try: " + std::string{info.remedy} + "\n";
}

/// Names that contain the word come before those that differ by a letter or two.
std::string suggestion(const std::string& word) {
  std::string names;
  for (const ReasonInfo& info : all_reasons()) {
    if (info.name.find(word) != std::string_view::npos)
      names += (names.empty() ? "" : ", ") + std::string{info.name};
  }
  if (names.empty()) names = nearest_reason_name(word).value_or("");
  return names.empty() ? "" : "; did you mean " + names + "?";
}

}  // namespace

int run_explain(const Arguments& arguments, Console& console) {
  Json json = json_answer();
  json["reasons"] = Json::array();
  std::string text;
  if (arguments.positionals.empty()) {
    for (const ReasonInfo& info : all_reasons()) {
      json["reasons"].push_back(json_of_info(info));
      text += reason_id(info.code) + "  " + std::string{info.name} + ": " + std::string{info.text} +
              "\n";
    }
  } else {
    const std::string& word = arguments.positionals.front();
    const ReasonInfo* info = find_reason(std::string_view{word});
    if (info == nullptr) {
      console.message("no reason '" + printable(word) + "'" + suggestion(word) +
                      "\nSee: landfall explain");
      return kExitUsage;
    }
    json["reasons"].push_back(json_of_info(*info));
    text = text_of_info(*info);
  }
  const bool written = arguments.has("json") ? print_json(json) : print(stdout, text);
  return written ? kExitOk : kExitFailure;
}

}  // namespace landfall::cli
