// SPDX-License-Identifier: Apache-2.0
// How decisions, verdicts and reasons are shown: one way for people, one for programs.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "console.hpp"
#include "landfall/landfall.hpp"

namespace landfall::cli {

using Json = nlohmann::ordered_json;

/// {"format_version": "1.0"}: what every answer begins with.
Json json_answer();
/// {"code": "LF1301", "name": ..., "text": ..., "remedy": ..., "native": 0}
Json json_of(const Reason& reason);
Json json_of(const Decision::Candidate& candidate);
Json json_of(const Decision& decision);
Json json_of(const Verdict& verdict);
Json json_of(const Error& error);
/// One line, names of any bytes made valid UTF-8.
std::string text_of(const Json& json);
/// False: it could not be written.
bool print_json(const Json& json, std::FILE* to = stdout);

/// "copied_by_kernel [LF1301]: the kernel copies every byte once on this transport"
std::string line_of(const Reason& reason);
/// Lines of "key        value" as the summaries have them.
std::string lines_of(const Decision& decision);
std::string lines_of(const Verdict& verdict);
/// Why no Group could be opened: the Decision where there is one, else the Error.
void report_no_group(const Console& console, const Error& error, const Decision& decision);

}  // namespace landfall::cli
