#include "cli/texts.h"

#include <algorithm>
#include <utility>

#include "cli/image_verbs.h"
#include "cli/run_options.h"
#include "oci/verbs.h"

namespace runhv::cli {
namespace {

constexpr std::size_t kHelpColumn = 32;
constexpr std::size_t kCommandsColumn = 47;

constexpr const char* kShells = "bash zsh fish powershell";

// Every command, for completion.
std::string all_commands() {
  std::string words;
  for (const std::string& command : commands()) words += (words.empty() ? "" : " ") + command;
  return words;
}

// Of the verbs that take the name of a container.
std::string verbs_with_name() {
  std::string words;
  for (const oci::Verb& verb : oci::verbs()) {
    if (verb.most_arguments == 0) continue;
    words += (words.empty() ? "" : " ") + std::string(verb.name);
  }
  return words;
}

// In single quotes of a shell's script.
std::string quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("\\'") : std::string(1, c);
  return quoted + "'";
}

// What a shell runs for the names of images.
constexpr const char* kImageNames =
    "runhv images --format \"{{.Repository}}:{{.Tag}}\" 2>/dev/null";

constexpr const char* kContainerNames = "runhv list -q 2>/dev/null";

// What can follow a command, before any file.
struct Offer {
  std::string command;
  std::vector<std::string> words;
  bool images = false, containers = false;
};

std::vector<Offer> offers() {
  std::vector<Offer> offers{{"kernels", {"add", "remove", "--image", "--modules", "--json"}},
                            {"service", {"start", "status", "stop"}},
                            {"doctor", {"--json"}},
                            {"login", {"--username", "--password-stdin"}},
                            {"list", {"--format", "--json", "--quiet"}},
                            {"run", {}}};
  for (const RunOptionSpec& spec : run_option_specs()) {
    offers.back().words.push_back("--" + std::string(spec.name));
  }
  for (const ImageVerb& verb : image_verbs()) {
    Offer offer{std::string(verb.name), {}, verb.of_images};
    for (const oci::Option& option : verb.options) {
      offer.words.push_back("--" + std::string(option.name));
    }
    offers.push_back(std::move(offer));
  }
  for (const oci::Verb& verb : oci::verbs()) {
    if (verb.most_arguments != 0) offers.push_back({std::string(verb.name), {}, false, true});
  }
  return offers;
}

std::string bash_offers() {
  std::string script;
  for (const Offer& offer : offers()) {
    std::string words;
    for (const std::string& word : offer.words) words += word + " ";
    if (offer.images) words += "$(" + std::string(kImageNames) + ")";
    if (offer.containers) words += "$(" + std::string(kContainerNames) + ")";
    script += "  elif [ \"${COMP_WORDS[1]}\" = " + offer.command +
              " ]; then\n    COMPREPLY=($(compgen -W \"" + words + "\" -- \"$word\"))\n";
  }
  return script;
}

// As a list of PowerShell's.
std::string powershell_list(std::string_view words) {
  std::string list;
  for (std::size_t begin = 0; begin < words.size();) {
    const std::size_t end = std::min(words.find(' ', begin), words.size());
    list += (list.empty() ? "'" : ", '") + std::string(words.substr(begin, end - begin)) + "'";
    begin = end + 1;
  }
  return list;
}

std::string powershell_offers() {
  std::string script;
  for (const Offer& offer : offers()) {
    std::string words;
    for (const std::string& word : offer.words) words += "'" + word + "'; ";
    if (offer.images) words += "runhv images --format '{{.Repository}}:{{.Tag}}' 2>$null; ";
    if (offer.containers) words += "runhv list -q 2>$null; ";
    script += "      '" + offer.command + "' { " + words + "}\n";
  }
  return script;
}

std::string fish_image_verbs() {
  std::string script;
  for (const ImageVerb& verb : image_verbs()) {
    const std::string line =
        "complete -c runhv -n '__fish_seen_subcommand_from " + std::string(verb.name) + "'";
    for (const oci::Option& option : verb.options) {
      script += line + " -l " + std::string(option.name);
      if (option.letter != 0) script += std::string(" -s ") + option.letter;
      if (!option.value.empty()) script += " -r";
      script += " -d " + quoted(option.help) + "\n";
    }
    if (verb.of_images) script += line + " -f -a '(" + std::string(kImageNames) + ")'\n";
  }
  return script;
}

std::string option_line(const RunOptionSpec& spec) {
  std::string line = spec.letter != 0 ? std::string("  -") + spec.letter + ", --" : "      --";
  line += spec.name;
  if (!spec.value.empty()) {
    line += spec.value_optional ? "[=" : " ";
    line += spec.value;
    if (spec.value_optional) line += "]";
  }
  // A long option has a line of its own.
  if (line.size() + 2 > kHelpColumn) {
    line += "\n" + std::string(kHelpColumn, ' ');
  } else {
    line.resize(kHelpColumn, ' ');
  }
  return line + std::string(spec.help) + "\n";
}

std::string bash_script() {
  return std::string("_runhv() {\n") +
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
         "  case $before in\n"
         "    --engine) COMPREPLY=($(compgen -W 'auto soft kvm whp' -- \"$word\")); return ;;\n"
         "    --pull) COMPREPLY=($(compgen -W 'always missing never' -- \"$word\")); return ;;\n"
         "    --bundle) COMPREPLY=($(compgen -d -- \"$word\")); return ;;\n"
         "    --kernel) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
         "    help) COMPREPLY=($(compgen -W '" +
         all_commands() +
         "' -- \"$word\")); return ;;\n"
         "    --image) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
         "    --modules) COMPREPLY=($(compgen -d -- \"$word\")); return ;;\n"
         "    completion) COMPREPLY=($(compgen -W '" +
         std::string(kShells) +
         "' -- \"$word\")); return ;;\n"
         "  esac\n"
         "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
         "    COMPREPLY=($(compgen -W '" +
         all_commands() + "' -- \"$word\"))\n" + bash_offers() +
         "  fi\n"
         "}\n"
         "complete -o default -F _runhv runhv\n";
}

std::string fish_script() {
  std::string script =
      std::string("complete -c runhv -n __fish_use_subcommand -f -a '") + all_commands() + "'\n" +
      "complete -c runhv -n '__fish_seen_subcommand_from help' -f -a '" + all_commands() + "'\n" +
      "complete -c runhv -n '__fish_seen_subcommand_from kernels' -f -a 'add remove'\n"
      "complete -c runhv -n '__fish_seen_subcommand_from kernels' -l json -d 'for machines'\n"
      "complete -c runhv -n '__fish_seen_subcommand_from kernels' -l image -r -d 'what to add'\n"
      "complete -c runhv -n '__fish_seen_subcommand_from kernels' -l modules -r -d 'its modules'\n"
      "complete -c runhv -n '__fish_seen_subcommand_from doctor' -l json -d 'for machines'\n"
      "complete -c runhv -n '__fish_seen_subcommand_from login' -l username -s u -x -d 'who'\n"
      "complete -c runhv -n '__fish_seen_subcommand_from login' -l password-stdin "
      "-d 'the password is read from stdin'\n"
      "complete -c runhv -n '__fish_seen_subcommand_from service' -f -a 'start status stop'\n"
      "complete -c runhv -n '__fish_seen_subcommand_from completion' -f -a '" +
      kShells +
      "'\n"
      "complete -c runhv -n '__fish_seen_subcommand_from " +
      verbs_with_name() + "' -f -a '(" + kContainerNames +
      ")'\n"
      "complete -c runhv -n '__fish_seen_subcommand_from delete' -l force -s f "
      "-d 'kill it if it runs'\n"
      "complete -c runhv -n '__fish_seen_subcommand_from list' -l json -d 'for machines'\n"
      "complete -c runhv -n '__fish_seen_subcommand_from list' -l quiet -s q -d 'names only'\n";
  for (const RunOptionSpec& spec : run_option_specs()) {
    script += "complete -c runhv -n '__fish_seen_subcommand_from run' -l " + std::string(spec.name);
    if (spec.letter != 0) script += std::string(" -s ") + spec.letter;
    if (!spec.value.empty() && !spec.value_optional) script += " -r";
    script += " -d " + quoted(spec.help) + "\n";
  }
  script +=
      "complete -c runhv -n '__fish_seen_subcommand_from run' -l engine -x "
      "-a 'auto soft kvm whp'\n"
      "complete -c runhv -n '__fish_seen_subcommand_from run' -l pull -x "
      "-a 'always missing never'\n";
  return script + fish_image_verbs();
}

// An array's elements are what a block gives. Where nothing is offered, PowerShell offers files.
std::string powershell_script() {
  const std::string commands = powershell_list(all_commands());
  return "Register-ArgumentCompleter -Native -CommandName runhv -ScriptBlock {\n"
         "  param($word, $line, $cursor)\n"
         "  $before = @($line.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursor } "
         "|\n"
         "    ForEach-Object { $_.Extent.Text })\n"
         "  $offered = switch -CaseSensitive ($before[-1]) {\n"
         "    '--engine' { 'auto', 'soft', 'kvm', 'whp' }\n"
         "    '--pull' { 'always', 'missing', 'never' }\n"
         "    'help' { " +
         commands +
         " }\n"
         "    'completion' { " +
         powershell_list(kShells) +
         " }\n"
         "  }\n"
         "  if ($before.Count -eq 1) { $offered = " +
         commands +
         " }\n"
         "  if ($null -eq $offered) {\n"
         "    $offered = switch -CaseSensitive ($before[1]) {\n" +
         powershell_offers() +
         "    }\n"
         "  }\n"
         "  $offered | Where-Object { $_.StartsWith($word) } | ForEach-Object {\n"
         "    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)\n"
         "  }\n"
         "}\n";
}

std::string kernels_help_text() {
  return "runhv kernels [--json]                    list the kernels and what their boot costs\n"
         "runhv kernels add NAME --image FILE [--modules DIR]\n"
         "runhv kernels remove NAME\n"
         "\n"
         "FILE is a kernel package of Debian (linux-image-….deb), a vmlinuz (bzImage) or a\n"
         "vmlinux. DIR is the folder of the kernel's modules (/lib/modules/VERSION), where it "
         "needs\n"
         "any to run in a micro-VM; a package brings them. The kernel is booted once to see that\n"
         "it works, and what its boot costs. `runhv run --kernel NAME` runs a container on it.\n";
}

std::string run_help_text() {
  std::string text =
      "runhv run [OPTIONS] IMAGE [COMMAND ARG...]\n"
      "runhv run --bundle DIR [OPTIONS] ID\n"
      "\n"
      "IMAGE is NAME[:TAG|@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG] or\n"
      "docker-archive:FILE[:NAME].\n"
      "\n";
  for (const RunOptionSpec& spec : run_option_specs()) text += option_line(spec);
  return text;
}

}  // namespace

std::vector<std::string> commands() {
  std::vector<std::string> names{"run"};
  for (const oci::Verb& verb : oci::verbs()) names.emplace_back(verb.name);
  for (const ImageVerb& verb : image_verbs()) names.emplace_back(verb.name);
  for (const char* name :
       {"login", "logout", "service", "kernels", "doctor", "help", "version", "completion"}) {
    names.emplace_back(name);
  }
  return names;
}

std::string help_text() {
  std::string images;
  for (const ImageVerb& verb : image_verbs()) {
    std::string line = "  runhv " + std::string(verb.name);
    if (!verb.usage.empty()) line += " " + std::string(verb.usage);
    line.resize(std::max(line.size() + 1, kCommandsColumn), ' ');
    images += line + std::string(verb.line) + "\n";
  }
  return "runhv runs each Linux container in its own micro-VM.\n"
         "\n"
         "  runhv run [OPTIONS] IMAGE [COMMAND ARG...]   run a container\n"
         "  runhv run --bundle DIR [OPTIONS] ID          run an OCI bundle\n"
         "  runhv list [--json|-q]                       the containers that are there\n"
         "  runhv exec [OPTIONS] NAME COMMAND [ARG...]   one more process in one that runs\n"
         "  runhv kill NAME [SIGNAL]                     send a signal to its first process\n"
         "  runhv pause|resume NAME                      stop its instructions, and go on\n"
         "  runhv delete [--force] NAME                  remove one that has ended\n"
         "  runhv create|start|state|ps|events|update|features|spec   as an OCI runtime "
         "(docs/oci.md)\n" +
         images +
         "  runhv login|logout [REGISTRY]                credentials for a registry\n"
         "  runhv service start|status|stop              the process that reads images\n"
         "  runhv kernels [add|remove]                   kernels that containers can have\n"
         "  runhv doctor [--json]                        whether containers can run here, and why "
         "not\n"
         "  runhv help [COMMAND]                         this text, or that of a command\n"
         "  runhv version                                version, engine, licences\n"
         "  runhv completion bash|zsh|fish|powershell    a completion script\n"
         "\n"
         "IMAGE is NAME[:TAG|@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG] or\n"
         "docker-archive:FILE[:NAME].\n"
         "--root DIR before the command: where containers are found, in place of this user's own\n"
         "folder (RUNHV_ROOT, else XDG_RUNTIME_DIR/runhv).\n"
         "The exit status is the container's; 125 is a failure of runhv, 126 a command that "
         "cannot\n"
         "be run, 127 a command that is not there.\n";
}

std::optional<std::string> help_text(std::string_view command) {
  if (command == "run") return run_help_text();
  if (command == "kernels") return kernels_help_text();
  if (const ImageVerb* const verb = find_image_verb(command)) {
    return oci::help_text(verb->name, verb->usage, verb->about, verb->options);
  }
  if (command == "login") {
    return "runhv login [--username USER [--password-stdin]] [REGISTRY]\n"
           "\n"
           "Asks the registry (docker.io, else HOST[:PORT]) whether it admits the user, and keeps "
           "the\n"
           "credentials as docker does: with the helper that its config.json names, else in that "
           "file.\n"
           "What is not given is asked for at the terminal.\n";
  }
  if (command == "logout") {
    return "runhv logout [REGISTRY]\n\nForgets what runhv login keeps.\n";
  }
  if (command == "service") {
    return "runhv service start|status|stop\n"
           "\n"
           "What reads images stays for a while, so that the next command need not wait for its "
           "start\n"
           "(docs/service.md). start starts it where there is none, and says where it listens.\n"
           "stop ends it once it has done what it was asked for.\n"
           "RUNHV_SERVICE=off: commands do without. RUNHV_SERVICE=SECONDS: it ends after so long\n"
           "without a request, in place of 600.\n";
  }
  if (command == "doctor") {
    return "runhv doctor [--json]\n"
           "\n"
           "Says whether containers can run here. Boots a guest of one page on each engine, then "
           "our\n"
           "kernel, and looks at Java, the store, memory and what confines a micro-VM's process. "
           "For\n"
           "what fails it names the cause and what to do (docs/doctor.md). The status is 0 where "
           "images\n"
           "can be run, else 1. --json: one line, for programs.\n";
  }
  if (const oci::Verb* const verb = oci::find_verb(command)) return oci::help_text(*verb);
  if (command == "help") {
    return "runhv help [--man] [COMMAND]\n\n"
           "What runhv can do, or what the command takes; COMMAND --help is the same. --man: as a\n"
           "manual page, which man -l - shows.\n";
  }
  if (command == "version") {
    return "runhv version\n\nVersion and revision, the engine, and where the licences are.\n";
  }
  if (command == "completion") {
    return "runhv completion bash|zsh|fish|powershell\n\n"
           "Prints a completion script. bash: source <(runhv completion bash); zsh: the same,\n"
           "after compinit; fish: runhv completion fish | source; PowerShell:\n"
           "runhv completion powershell | Out-String | Invoke-Expression\n";
  }
  return std::nullopt;
}

std::optional<std::string> completion_script(std::string_view shell) {
  if (shell == "bash") return bash_script();
  if (shell == "zsh") return "autoload -U +X bashcompinit && bashcompinit\n" + bash_script();
  if (shell == "fish") return fish_script();
  if (shell == "powershell") return powershell_script();
  return std::nullopt;
}

}  // namespace runhv::cli
