// Every cause, from the answers that a host gives where it is so.
#include "cli/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "platform/file.h"
#include "platform/random_name.h"

namespace runhv::cli {
namespace {

namespace fs = std::filesystem;
using platform::HostFacts;
using ::testing::HasSubstr;
using ::testing::Not;

HostFacts windows() {
  HostFacts host;
  host.system = HostFacts::System::kWindows;
  host.windows_build = 26100;
  host.has_virtualization = true;
  host.firmware_allows_virtualization = true;
  return host;
}

HostFacts linux_with_kvm(int kvm_errno = 0) {
  HostFacts host;
  host.has_virtualization = true;
  host.kvm_errno = kvm_errno;
  return host;
}

ProbedEngine failed(const char* engine, Code code, std::vector<const char*> stages = {}) {
  ProbedEngine probed;
  probed.engine = engine;
  for (const char* stage : stages) probed.stages.push_back({stage, 1});
  probed.failure = Error{code, "probe", "it says no"};
  return probed;
}

// "" where there is none.
std::string cause(const HostFacts& host, const ProbedEngine& engine) {
  const auto advice = advise(host, engine);
  if (!advice) return "";
  EXPECT_NE(advice->why, "");
  EXPECT_NE(advice->remedy, "");
  return advice->cause;
}

TEST(DoctorOnWindows, TellsAFeatureThatIsOff) {
  EXPECT_EQ(cause(windows(), failed("whp", Code::kNotFound)), "feature-absent");
  HostFacts with_hyper_v = windows();
  with_hyper_v.has_hypervisor = true;
  // It is there when asked, and refuses a partition.
  EXPECT_EQ(cause(with_hyper_v, failed("whp", Code::kHypervisorAbsent, {"library"})),
            "feature-absent");
  EXPECT_THAT(advise(windows(), failed("whp", Code::kNotFound))->remedy,
              HasSubstr("/FeatureName:HypervisorPlatform"));
}

TEST(DoctorOnWindows, TellsABootConfigurationWithoutHypervisor) {
  const ProbedEngine none = failed("whp", Code::kHypervisorAbsent);
  EXPECT_EQ(cause(windows(), none), "hypervisor-off");
  EXPECT_THAT(advise(windows(), none)->remedy, HasSubstr("bcdedit"));
  HostFacts host = windows();
  host.firmware_allows_virtualization = false;
  EXPECT_EQ(cause(host, none), "firmware-off");
}

TEST(DoctorOnWindows, TellsAVirtualMachineWithoutNestedVirtualization) {
  HostFacts host = windows();
  host.has_hypervisor = true;  // which is not this system's
  const ProbedEngine none = failed("whp", Code::kHypervisorAbsent);
  EXPECT_EQ(cause(host, none), "no-nested-virtualization");
  EXPECT_THAT(advise(host, none)->remedy, HasSubstr("ExposeVirtualizationExtensions"));
}

TEST(DoctorOnWindows, TellsAnEditionAndABuildThatHaveItNot) {
  HostFacts host = windows();
  host.edition_has_feature = false;
  EXPECT_EQ(cause(host, failed("whp", Code::kNotFound)), "edition");
  HostFacts old = windows();
  old.windows_build = 16299;
  EXPECT_EQ(cause(old, failed("whp", Code::kNotFound)), "build-too-old");
  old.windows_build = 19045;
  EXPECT_EQ(cause(old, failed("whp", Code::kUnsupported, {"library"})), "build-too-old");
  EXPECT_EQ(cause(windows(), failed("whp", Code::kUnsupported, {"library"})), "");
}

TEST(DoctorOnWindows, TellsAProcessThatMayNot) {
  EXPECT_EQ(cause(windows(), failed("whp", Code::kAccessDenied, {"library"})), "access-denied");
}

TEST(DoctorOnLinux, TellsRightsForKvm) {
  const ProbedEngine kvm = failed("kvm", Code::kHypervisorAbsent);
  EXPECT_EQ(cause(linux_with_kvm(EACCES), kvm), "kvm-rights");
  EXPECT_EQ(cause(linux_with_kvm(EPERM), kvm), "kvm-rights");
  EXPECT_THAT(advise(linux_with_kvm(EACCES), kvm)->remedy, HasSubstr("usermod -aG kvm"));
}

TEST(DoctorOnLinux, TellsWhyThereIsNoKvm) {
  const ProbedEngine kvm = failed("kvm", Code::kHypervisorAbsent);
  EXPECT_EQ(cause(linux_with_kvm(ENOENT), kvm), "kvm-absent");
  HostFacts host = linux_with_kvm(ENOENT);
  host.has_virtualization = false;
  EXPECT_EQ(cause(host, kvm), "firmware-off");
  host.has_hypervisor = true;
  EXPECT_EQ(cause(host, kvm), "no-nested-virtualization");
  EXPECT_EQ(cause(linux_with_kvm(), kvm), "") << "the engine's own words are all";
}

TEST(DoctorOnLinux, TellsAKvmThatOnlyEmulates) {
  const std::vector<const char*> to_guest{"library", "partition"};
  const std::vector<const char*> to_kernel{"library", "partition", "guest"};
  EXPECT_EQ(cause(linux_with_kvm(), failed("kvm", Code::kTimedOut, to_guest)), "kvm-emulates");
  EXPECT_EQ(cause(linux_with_kvm(), failed("kvm", Code::kTimedOut, to_kernel)), "kvm-emulates");
  EXPECT_EQ(cause(linux_with_kvm(), failed("kvm", Code::kGuestFailed, to_kernel)), "kvm-emulates");
}

TEST(Doctor, TellsMemoryThatIsRefused) {
  for (const char* engine : {"soft", "kvm", "whp"}) {
    EXPECT_EQ(cause(windows(), failed(engine, Code::kOutOfMemory, {"library"})), "no-memory");
  }
  HostFacts host;
  EXPECT_FALSE(advise_on_memory(host)) << "a host that does not say";
  host.available_memory_bytes = 16 << 20;
  EXPECT_EQ(advise_on_memory(host)->cause, "no-memory");
  host.available_memory_bytes = 1u << 30;
  EXPECT_FALSE(advise_on_memory(host));
}

TEST(Doctor, TellsAnEngineThatIsNotInstalled) {
  EXPECT_EQ(cause({}, failed("soft", Code::kNotFound)), "engine-missing");
  EXPECT_EQ(cause({}, failed("soft", Code::kHypervisorAbsent)), "engine-missing");
  EXPECT_EQ(cause({}, failed("soft", Code::kGuestFailed)), "");
  EXPECT_EQ(cause({}, failed("whp", Code::kHypervisorAbsent)), "other-system");
}

TEST(Doctor, SaysNothingOfWhatWorks) {
  ProbedEngine works;
  works.engine = "kvm";
  EXPECT_FALSE(advise(linux_with_kvm(EACCES), works));
}

TEST(Doctor, TellsThatThereIsNoJava) {
  const Result<std::string> none = Fail{Error{Code::kNotFound, "find Java", "there is none"}};
  EXPECT_EQ(advise_on_java(none)->cause, "no-java");
  EXPECT_THAT(advise_on_java(none)->why, HasSubstr("there is none"));
  EXPECT_FALSE(advise_on_java(std::string("/usr/bin/java")));
}

TEST(Doctor, TellsAStoreThatCannotBeUsed) {
  const std::string folder =
      platform::temporary_directory() + "/runhv-doctor-" + platform::random_name<8>();
  fs::create_directory(folder);
  EXPECT_TRUE(check_store(folder + "/not there yet"));
  EXPECT_FALSE(fs::exists(folder + "/not there yet"));
  fs::create_directory(folder + "/store");
  EXPECT_TRUE(check_store(folder + "/store"));
  std::ofstream(folder + "/file") << "no folder";
  const auto broken = check_store(folder + "/file");
  ASSERT_FALSE(broken);
  EXPECT_EQ(advise_on_store(Fail{broken.error()})->cause, "store-broken");
  EXPECT_FALSE(advise_on_store(folder));
  const auto full = advise_on_store(Fail{Error{Code::kNoSpace, "lock", "no space"}});
  EXPECT_THAT(full->remedy, HasSubstr("prune"));
  const auto others = advise_on_store(Fail{Error{Code::kAccessDenied, "lock", "not ours"}});
  EXPECT_THAT(others->remedy, HasSubstr("this user"));
  fs::remove_all(folder);
}

TEST(DoctorsProbe, IsReadLineByLine) {
  const ProbedEngine works = read_probe(
      "soft", "{\"stage\":\"library\",\"ns\":12}\n{\"stage\":\"partition\",\"ns\":3}\n", 0);
  ASSERT_EQ(works.stages.size(), 2u);
  EXPECT_EQ(works.stages[1].name, "partition");
  EXPECT_EQ(works.stages[1].ns, 3u);
  EXPECT_FALSE(works.failure);

  const ProbedEngine fails =
      read_probe("soft",
                 "winhvplatform: words\n{\"code\":7,\"operation\":\"reserve\",\"detail\":\"none\","
                 "\"domain\":1,\"os_code\":12}\n",
                 125);
  ASSERT_TRUE(fails.failure);
  EXPECT_EQ(fails.failure->code, Code::kOutOfMemory);
  EXPECT_EQ(fails.failure->os_code, 12);
}

TEST(DoctorsProbe, AnEndOfItsOwnIsAFailure) {
  EXPECT_EQ(read_probe("kvm", "", std::nullopt).failure->code, Code::kTimedOut);
  EXPECT_THAT(read_probe("kvm", "", 128 + 11).failure->detail, HasSubstr("signal 11"));
  EXPECT_THAT(read_probe("kvm", "{\"stage\":1}\nnoise\n{", 70).failure->detail, HasSubstr("70"));
}

Diagnosis a_host_that_works() {
  Diagnosis diagnosis{.version = "1.2",
                      .host = linux_with_kvm(ENOENT),
                      .engines = {failed("kvm", Code::kHypervisorAbsent), {}},
                      .java = std::string("/opt/jdk/bin/java"),
                      .store = std::string("/home/me/store"),
                      .confinement = {.has = "files (Landlock 7)", .lacks = ""}};
  diagnosis.engines[0].advice = Advice{"kvm-absent", "why not", "what to do"};
  diagnosis.engines[1].engine = "soft";
  diagnosis.engines[1].stages = {{"library", 1'234'567}};
  return diagnosis;
}

TEST(DoctorsText, SaysWhatWorksAndWhatIsToBeDone) {
  const std::string text = to_text(a_host_that_works());
  EXPECT_THAT(text, HasSubstr("engine soft   works: library 1.2 ms\n"));
  EXPECT_THAT(text, HasSubstr("engine kvm    does not work: probe: it says no"));
  EXPECT_THAT(text, HasSubstr("why: why not\n"));
  EXPECT_THAT(text, HasSubstr("do:  what to do\n"));
  EXPECT_THAT(text, HasSubstr("confined      files (Landlock 7)\n"));
  EXPECT_THAT(text, Not(HasSubstr("not: ")));
  EXPECT_THAT(text, HasSubstr("Containers can run here."));
  Diagnosis without_java = a_host_that_works();
  without_java.java = Fail{Error{Code::kNotFound, "find Java", "there is none"}};
  EXPECT_FALSE(without_java.can_run_images());
  without_java.confinement.lacks = "files";
  EXPECT_THAT(to_text(without_java), Not(HasSubstr("can run here")));
  EXPECT_THAT(to_text(without_java), HasSubstr("not: files\n"));
}

TEST(DoctorsJson, IsOneLineWithCausesAsWords) {
  const std::string json = to_json(a_host_that_works());
  EXPECT_EQ(json.find('\n'), json.size() - 1);
  EXPECT_THAT(json, HasSubstr("\"cause\":\"kvm-absent\""));
  EXPECT_THAT(json, HasSubstr("\"stages_ns\":{\"library\":1234567}"));
  EXPECT_THAT(json, HasSubstr("\"works\":true"));
}

}  // namespace
}  // namespace runhv::cli
