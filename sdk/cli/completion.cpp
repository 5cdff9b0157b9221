// SPDX-License-Identifier: Apache-2.0
#include "help.hpp"

namespace landfall::cli {
namespace {

std::string verbs(std::string_view separator) {
  std::string out;
  for (const CommandRow& row : commands())
    out += (out.empty() ? "" : std::string{separator}) + std::string{row.name};
  return out;
}

std::string option_names(const CommandRow& command) {
  std::string out;
  for (const OptionRow& row : command.options)
    out += (out.empty() ? "--" : " --") + std::string{row.name};
  return out;
}

std::string bash() {
  std::string out =
      "# bash completion of landfall, made by: landfall completion bash\n"
      "_landfall() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
      "verb=${COMP_WORDS[1]}\n"
      "  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"" +
      verbs(" ") +
      " --help --version\" -- \"$cur\"))\n"
      "    return\n"
      "  fi\n"
      "  case \"$verb $prev\" in\n";
  for (const CommandRow& command : commands()) {
    for (const OptionRow& row : command.options) {
      if (row.value.empty()) continue;
      out += "    '" + std::string{command.name} + " --" + std::string{row.name} + "') ";
      if (row.complete == Complete::words)
        out += "COMPREPLY=($(compgen -W \"" + std::string{row.words} + "\" -- \"$cur\")); ";
      else if (row.complete != Complete::nothing)
        out += "COMPREPLY=($(compgen -f -- \"$cur\")); ";
      out += "return ;;\n";
    }
  }
  out += "  esac\n  case \"$verb\" in\n";
  for (const CommandRow& command : commands()) {
    std::string words = option_names(command);
    if (!command.words.empty()) words += " " + std::string{command.words};
    out += "    " + std::string{command.name} + ") COMPREPLY=($(compgen -W \"" + words +
           "\" -- \"$cur\")";
    if (command.complete == Complete::file) out += " $(compgen -f -- \"$cur\")";
    out += ") ;;\n";
  }
  return out + "  esac\n}\ncomplete -o filenames -F _landfall landfall\n";
}

/// For between single quotes, in zsh's _arguments also free of ':' and brackets.
std::string quoted(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else if (c == ':' || c == '[' || c == ']')
      out += std::string{"\\"} + c;
    else
      out += c;
  }
  return out;
}

std::string zsh() {
  std::string out =
      "#compdef landfall\n"
      "# zsh completion of landfall, made by: landfall completion zsh\n"
      "_landfall() {\n"
      "  if (( CURRENT == 2 )); then\n    _values verb";
  for (const CommandRow& row : commands())
    out += " '" + std::string{row.name} + "[" + quoted(row.summary) + "]'";
  out +=
      "\n    return\n  fi\n  local verb=$words[2]\n  shift words; (( CURRENT-- ))\n  case $verb "
      "in\n";
  for (const CommandRow& command : commands()) {
    out += "    " + std::string{command.name} + ") _arguments";
    for (const OptionRow& row : command.options) {
      out += std::string{" '"} + (row.many ? "*" : "") + "--" + std::string{row.name} + "[" +
             quoted(row.help) + "]";
      if (!row.value.empty()) {
        out += ":" + quoted(row.value) + ":";
        if (row.complete == Complete::words) out += "(" + std::string{row.words} + ")";
        if (row.complete == Complete::file) out += "_files";
      }
      out += "'";
    }
    if (command.complete == Complete::words)
      out += " '1:" + quoted(command.positional) + ":(" + std::string{command.words} + ")'";
    else if (command.complete == Complete::file)
      out += " '1:" + quoted(command.positional) + ":_files'";
    out += " ;;\n";
  }
  return out + "  esac\n}\n_landfall \"$@\"\n";
}

std::string fish() {
  std::string out =
      "# fish completion of landfall, made by: landfall completion fish\ncomplete -c landfall -f\n";
  const std::string any = verbs(" ");
  const auto single = [](std::string_view text) {
    std::string escaped;
    for (const char c : text) escaped += c == '\'' ? std::string{"\\'"} : std::string{c};
    return escaped;
  };
  for (const CommandRow& command : commands()) {
    const std::string name{command.name};
    out += "complete -c landfall -n 'not __fish_seen_subcommand_from " + any + "' -a " + name +
           " -d '" + single(command.summary) + "'\n";
    const std::string when = "complete -c landfall -n '__fish_seen_subcommand_from " + name + "' ";
    for (const OptionRow& row : command.options) {
      out += when + "-l " + std::string{row.name} + (row.value.empty() ? "" : " -r");
      if (row.complete == Complete::words) out += " -a '" + std::string{row.words} + "'";
      if (row.complete == Complete::file) out += " -F";
      out += " -d '" + single(row.help) + "'\n";
    }
    if (command.complete == Complete::words)
      out += when + "-a '" + std::string{command.words} + "'\n";
    if (command.complete == Complete::file) out += when + "-F\n";
  }
  return out;
}

}  // namespace

std::string completion_script(std::string_view shell) {
  if (shell == "bash") return bash();
  if (shell == "zsh") return zsh();
  if (shell == "fish") return fish();
  return {};
}

}  // namespace landfall::cli
