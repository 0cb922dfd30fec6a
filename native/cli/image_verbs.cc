#include "cli/image_verbs.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cli/json_request.h"
#include "cli/prepare.h"

namespace runhv::cli {
namespace {

constexpr std::size_t kAny = SIZE_MAX;

constexpr oci::Option kPullOptions[] = {
    {"quiet", 'q', "", "the name only"},
    {"json", 0, "", "for machines"},
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

constexpr ImageVerb kVerbs[] = {
    {"pull", "NAME[:TAG|@DIGEST]", "fetch an image from its registry",
     "Asks the registry what the name means now, and fetches what the store does not have. What\n"
     "was begun goes on where it ended (docs/registries.md).",
     kPullOptions, 1, 1, false},
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
};

}  // namespace

std::span<const ImageVerb> image_verbs() { return kVerbs; }

const ImageVerb* find_image_verb(std::string_view name) {
  const auto found = std::ranges::find(kVerbs, name, &ImageVerb::name);
  return found == std::end(kVerbs) ? nullptr : found;
}

Result<std::string> image_request(const ImageVerb& verb,
                                  std::span<const std::string_view> arguments,
                                  const std::string& store, bool progress) {
  const std::string name(verb.name);
  RUNHV_TRY_ASSIGN(const oci::Arguments given,
                   oci::parse_arguments(name, verb.options, oci::Order::kMixed, arguments));
  const std::size_t count = given.positional.size();
  if (count < verb.least_arguments || count > verb.most_arguments) {
    return Fail{Error{Code::kInvalidArgument, name,
                      "expected " + std::string(verb.usage) + "; see runhv help " + name}};
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
    if (!given.has(option.name)) continue;
    std::vector<std::string> values = given.values(option.name);
    if (option.value == "FILE" || option.value == "DIR") {
      std::ranges::transform(values, values.begin(),
                             [](const std::string& path) { return absolute_path(path); });
    }
    request.write(std::string(option.name).c_str(), values);
  }
  json.EndObject();
  json.Key("progress");
  json.Bool(progress);
  return request.finish();
}

}  // namespace runhv::cli
