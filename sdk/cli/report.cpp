// SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <nlohmann/json.hpp>

namespace landfall::cli {

Json json_answer() {
  return Json{{"format_version", "1.0"}};
}

Json json_of(const Reason& reason) {
  const ReasonInfo* info = find_reason(reason.code);
  Json json;
  json["code"] = reason_id(reason.code);
  json["name"] = info == nullptr ? "" : std::string{info->name};
  json["text"] = reason.text;
  json["remedy"] = reason.fix;
  json["native"] = reason.native;
  return json;
}

Json json_of(const Decision::Candidate& candidate) {
  Json json;
  json["name"] = candidate.transport;
  json["usable"] = candidate.usable;
  json["best_placement"] = std::string{name(candidate.best)};
  json["reasons"] = Json::array();
  for (const Reason& reason : candidate.reasons) json["reasons"].push_back(json_of(reason));
  return json;
}

Json json_of(const Decision& decision) {
  Json json;
  json["chosen"] = decision.chosen;
  json["candidates"] = Json::array();
  for (const Decision::Candidate& c : decision.candidates) json["candidates"].push_back(json_of(c));
  return json;
}

Json json_of(const Verdict& verdict) {
  Json json;
  for (std::size_t i = 0; i < kPlacements; ++i)
    json[std::string{name(static_cast<Placement>(i))} + "_bytes"] = verdict.bytes[i];
  json["reasons"] = Json::array();
  for (const Verdict::Count& count : verdict.reasons) {
    if (count.reason == ReasonCode::none) continue;
    const ReasonInfo* info = find_reason(count.reason);
    json["reasons"].push_back({{"code", reason_id(count.reason)},
                               {"name", info == nullptr ? "" : std::string{info->name}},
                               {"bytes", count.bytes}});
  }
  return json;
}

Json json_of(const Error& error) {
  Json json = json_of(reason_from(error));
  json["errc"] = std::string{name(error.code())};
  return json;
}

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}
bool print_json(const Json& json, std::FILE* to) {
  return print(to, text_of(json));
}

std::string line_of(const Reason& reason) {
  const ReasonInfo* info = find_reason(reason.code);
  std::string line = reason.text;
  if (info != nullptr) line += " [" + reason_id(reason.code) + " " + std::string{info->name} + "]";
  return line;
}

std::string lines_of(const Decision& decision) {
  std::string out;
  for (const Decision::Candidate& c : decision.candidates) {
    const bool chosen = c.transport == decision.chosen;
    std::string line = c.transport + ": ";
    line += chosen     ? "chosen, at best " + std::string{name(c.best)}
            : c.usable ? "usable, not taken"
                       : "not usable";
    out += (out.empty() ? "decision   " : "           ") + line + "\n";
    for (const Reason& reason : c.reasons) {
      out += "             " + line_of(reason) + "\n";
      if (!chosen && !c.usable && !reason.fix.empty())
        out += "               try: " + reason.fix + "\n";
    }
  }
  return out;
}

std::string lines_of(const Verdict& verdict) {
  std::string out = "verdict    ";
  for (std::size_t i = 0; i < kPlacements; ++i) {
    out += (i == 0 ? "" : ", ") + std::string{name(static_cast<Placement>(i))} + " " +
           format_decimal(static_cast<double>(verdict.bytes[i]));
  }
  out += "\n";
  for (const Verdict::Count& count : verdict.reasons) {
    if (count.reason == ReasonCode::none) continue;
    const ReasonInfo* info = find_reason(count.reason);
    out += "             " + format_decimal(static_cast<double>(count.bytes)) + ": " +
           (info == nullptr ? "" : std::string{info->text} + " ") + "[" + reason_id(count.reason) +
           (info == nullptr ? "" : " " + std::string{info->name}) + "]\n";
  }
  return out;
}

void report_no_group(const Console& console, const Error& error, const Decision& decision) {
  if (decision.candidates.empty() || !decision.chosen.empty()) return console.error(error);
  console.message("no transport fits");
  print(stderr, lines_of(decision));
}

}  // namespace landfall::cli
