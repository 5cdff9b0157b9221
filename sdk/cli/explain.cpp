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
      const auto near = nearest_reason_name(word);
      console.message("no reason '" + printable(word) + "'" +
                      (near ? "; did you mean " + std::string{*near} + "?" : "") +
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
