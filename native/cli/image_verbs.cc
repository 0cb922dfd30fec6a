#include "cli/image_verbs.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "cli/json_request.h"
#include "cli/prepare.h"

namespace runhv::cli {
namespace {

constexpr std::size_t kAny = SIZE_MAX;

constexpr oci::Option kPullOptions[] = {
    {"quiet", 'q', "", "the name only"},
    {"json", 0, "", "for machines"},
    {"platform", 0, "OS/ARCH[/VARIANT]", "of an index's images, this one"},
};
constexpr oci::Option kLoadOptions[] = {
    {"input", 'i', "FILE", "in place of stdin"},
    {"name", 0, "NAME", "of the only image in it, in place of its own"},
    {"quiet", 'q', "", "the names only"},
};
constexpr oci::Option kSaveOptions[] = {
    {"output", 'o', "FILE", "in place of stdout"},
    {"platform", 0, "OS/ARCH[/VARIANT]", "of an index's images, this one"},
};
constexpr oci::Option kImportOptions[] = {
    {"change", 'c', "INSTRUCTION", "of a Dockerfile: CMD, ENTRYPOINT, ENV, WORKDIR, USER, …"},
    {"message", 'm', "TEXT", "in the image's history"},
};
constexpr oci::Option kImagesOptions[] = {
    {"quiet", 'q', "", "IDs only"},
    {"no-trunc", 0, "", "IDs as a whole"},
    {"digests", 0, "", "also what each name means in its registry"},
    {"format", 0, "TEMPLATE", "as docker's: {{.ID}} {{.Repository}} {{.Tag}} …, table …, json"},
    {"json", 0, "", "for machines"},
};
constexpr oci::Option kRmiOptions[] = {
    {"force", 'f', "", "also several names of one ID, and the name of what runs"},
};
constexpr oci::Option kPruneOptions[] = {
    {"all", 'a', "", "also the names of images from which no container runs"},
};
constexpr oci::Option kInspectOptions[] = {
    {"format", 'f', "TEMPLATE", "as docker's: {{.Id}} {{.Config.Cmd}} {{json .Config}}"},
    {"platform", 0, "OS/ARCH[/VARIANT]", "of an index's images, this one"},
};
constexpr oci::Option kHistoryOptions[] = {
    {"no-trunc", 0, "", "commands as a whole"},
    {"format", 0, "TEMPLATE", "as docker's: {{.CreatedBy}} {{.Size}} …, table …, json"},
};
constexpr oci::Option kDfOptions[] = {
    {"format", 0, "TEMPLATE", "as docker's: {{.Type}} {{.Size}} {{.Reclaimable}} …, table …, json"},
};
constexpr oci::Option kSbomOptions[] = {
    {"output", 'o', "FILE", "in place of stdout"},
    {"type", 0, "spdx|cyclonedx", "of several documents, the first of this kind"},
};
constexpr oci::Option kVerifyOptions[] = {
    {"repair", 0, "", "remove what is damaged, so that a pull or run has it anew"},
    {"distribution", 0, "", "in place of the store, the files of runhv itself"},
    {"key", 0, "FILE", "with --distribution: the public key that must have signed them"},
};

constexpr ImageVerb kVerbs[] = {
    {"pull", "NAME[:TAG|@DIGEST]", "fetch an image from its registry",
     "Asks the registry what the name means now, and fetches what the store does not have. What\n"
     "was begun goes on where it ended (docs/registries.md).",
     kPullOptions, 1, 1, false},
    {"push", "NAME[:TAG]|ID", "send an image to its registry",
     "Sends the registry what it does not have of the image, and gives that the name there. Where\n"
     "the store has a part of an index only, it is the image for linux/amd64 that is sent.",
     kPullOptions, 1, 1, true},
    {"load", "", "take the images of an archive",
     "Takes what docker save, podman save, ctr image export, skopeo and buildah write, perhaps by\n"
     "gzip or zstd.",
     kLoadOptions, 0, 0, false, Pipe::kStdin, "input"},
    {"save", "NAME|ID...", "write images into an archive",
     "Writes an OCI layout with docker's manifest.json beside it: docker load, podman load, "
     "skopeo\n"
     "and ctr image import take it. The same images are the same bytes.",
     kSaveOptions, 1, kAny, true, Pipe::kStdout, "output"},
    {"import", "FILE|- NAME", "make an image of a root's tar",
     "Makes an image of one layer, perhaps by gzip or zstd, and prints its ID.", kImportOptions, 2,
     2, false, Pipe::kStdin},
    {"images", "[ls] [NAME[:TAG]]", "the images that are there",
     "The images that the store has a name for. SIZE is what an image takes there, what it shares\n"
     "with others included.",
     kImagesOptions, 0, 2, true},
    {"rmi", "NAME|ID...", "remove names, and images without one",
     "Removes names, and what was in the store for them alone. An image from which a container\n"
     "runs is refused.",
     kRmiOptions, 1, kAny, true},
    {"tag",
     "NAME|ID NEW",
     "give an image one more name",
     "Gives an image one more name. What the name meant before loses it.",
     {},
     2,
     2,
     true},
    {"prune", "", "remove what no name and no container needs",
     "Removes what is in the store without a name: what was made of oci:DIR and of archives, "
     "pulls\n"
     "that ended early, what rmi had to leave. Waits while anything is pulled or started. It asks\n"
     "nothing: what runs stays, and all else can be made again.",
     kPruneOptions, 0, 0, false},
    {"inspect", "NAME|ID...", "all about images, as JSON",
     "What docker tells of an image: ID, names, configuration, layers.", kInspectOptions, 1, kAny,
     true},
    {"history", "NAME|ID", "the steps that made an image",
     "The steps that an image's configuration tells of, the last one first. SIZE is the content "
     "of\n"
     "the step's layer, where that has been read.",
     kHistoryOptions, 1, 1, true},
    {"df", "", "what the store takes",
     "The files of the store by their kinds: ACTIVE is how many a name or a container needs,\n"
     "RECLAIMABLE what prune would remove.",
     kDfOptions, 0, 0, false},
    {"verify", "", "read all of the store, and say what is damaged",
     "Reads all: blobs against their digests, layers against their checksums, root file systems "
     "of\n"
     "named images against what their layers give. With --distribution: the files of runhv itself\n"
     "against the list that they were built with (docs/trust.md).",
     kVerifyOptions, 0, 0, false},
    {"sbom", "NAME|ID", "the bill of materials of an image",
     "Writes the SBOM that the image's builder attests, or that refers to it in its registry, as\n"
     "it is there (docs/trust.md).",
     kSbomOptions, 1, 1, true, Pipe::kText, "output"},
};

}  // namespace

std::span<const ImageVerb> image_verbs() { return kVerbs; }

const ImageVerb* find_image_verb(std::string_view name) {
  const auto found = std::ranges::find(kVerbs, name, &ImageVerb::name);
  return found == std::end(kVerbs) ? nullptr : found;
}

Result<ImageRequest> image_request(const ImageVerb& verb,
                                   std::span<const std::string_view> arguments,
                                   const std::string& store, const std::string& spool,
                                   bool progress) {
  const std::string name(verb.name);
  RUNHV_TRY_ASSIGN(oci::Arguments given,
                   oci::parse_arguments(name, verb.options, oci::Order::kMixed, arguments));
  const std::size_t count = given.positional.size();
  if (count < verb.least_arguments || count > verb.most_arguments) {
    return Fail{Error{Code::kInvalidArgument, name,
                      "expected " + std::string(verb.usage) + "; see runhv help " + name}};
  }
  const auto path_of = [&spool](const std::string& file) {
    return file == "-" ? spool : absolute_path(file);
  };
  bool piped = false;
  if (verb.pipe != Pipe::kNone && verb.file.empty()) {
    std::string& file = given.positional.front();
    piped = file == "-";
    file = path_of(file);
  }
  JsonRequest request(name);
  auto& json = request.json();
  json.Key("version");
  json.Int(1);
  request.write("verb", name);
  request.write("store", store);
  request.write("arguments", given.positional);
  json.Key("options");
  json.StartObject();
  for (const oci::Option& option : verb.options) {
    std::vector<std::string> values = given.values(option.name);
    const bool is_piped = option.name == verb.file;
    if (is_piped && values.empty()) values = {"-"};
    if (values.empty()) continue;
    if (is_piped) {
      piped = values.back() == "-";
      values = {path_of(values.back())};
    } else if (option.value == "FILE") {
      std::ranges::transform(values, values.begin(), absolute_path);
    }
    request.write(std::string(option.name).c_str(), values);
  }
  json.EndObject();
  json.Key("progress");
  json.Bool(progress);
  RUNHV_TRY_ASSIGN(std::string text, request.finish());
  return ImageRequest{std::move(text), piped};
}

}  // namespace runhv::cli
