#include "vmm_main/timings.h"

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "container/json_writer.h"

namespace runhv::vmm_main {
namespace {

struct NamedCount {
  const char* name;
  std::uint64_t runhv_exit_counts::*count;
};
constexpr NamedCount kReasons[] = {
    {"io_port", &runhv_exit_counts::io_port},
    {"mmio", &runhv_exit_counts::mmio},
    {"cpuid", &runhv_exit_counts::cpuid},
    {"msr", &runhv_exit_counts::msr},
    {"halt", &runhv_exit_counts::halt},
    {"interrupt_window", &runhv_exit_counts::interrupt_window},
    {"apic_eoi", &runhv_exit_counts::apic_eoi},
    {"canceled", &runhv_exit_counts::canceled},
    {"other", &runhv_exit_counts::other},
};

struct StageTimes {
  std::string name;
  double start_ms;
  double duration_ms;
};

std::vector<StageTimes> reached_stages(const runhv_statistics& statistics) {
  std::vector<StageTimes> stages;
  for (std::int32_t i = 0; i < RUNHV_STAGE_COUNT; ++i) {
    const auto& stage = statistics.stages[i];
    if (stage.start_ns == 0) continue;
    // A launcher that lies about its start must not give a negative time.
    const std::uint64_t since = stage.start_ns - std::min(stage.start_ns, statistics.spawned_at_ns);
    stages.push_back({runhv_stage_name(i), static_cast<double>(since) / 1e6,
                      static_cast<double>(stage.duration_ns) / 1e6});
  }
  return stages;
}

template <class... T>
std::string format(const char* pattern, T... values) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

std::string exits_line(const char* what, const runhv_exit_counts& exits) {
  std::string line = format("%-34s %" PRIu64, what, exits.all);
  const char* separator = " (";
  for (const NamedCount& reason : kReasons) {
    if (exits.*reason.count == 0) continue;
    line += separator + std::string(reason.name) + " " + std::to_string(exits.*reason.count);
    separator = ", ";
  }
  return line + (exits.all != 0 ? ")\n" : "\n");
}

std::string bar(const StageTimes& stage, double total_ms, bool colour) {
  constexpr double kWidth = 40;
  const auto column = [&](double ms) {
    return total_ms > 0 ? static_cast<int>(std::clamp(ms / total_ms, 0.0, 1.0) * kWidth) : 0;
  };
  const int begin = std::min(column(stage.start_ms), static_cast<int>(kWidth) - 1);
  const int end = std::max(column(stage.start_ms + stage.duration_ms), begin + 1);
  std::string text(static_cast<std::size_t>(begin), ' ');
  if (colour) text += "\x1b[36m";
  for (int i = begin; i < end; ++i) text += colour ? "\u2588" : "#";
  if (colour) text += "\x1b[0m";
  return text;
}

std::string instructions_line(const char* what, std::uint64_t count) {
  if (count == RUNHV_NOT_COUNTED) return format("%-34s not counted\n", what);
  return format("%-34s %.1f M\n", what, static_cast<double>(count) / 1e6);
}

void write_exits(container::JsonWriter& json, const char* name, const runhv_exit_counts& exits) {
  json.object(name, [&] {
    for (const NamedCount& reason : kReasons) json.member(reason.name, exits.*reason.count);
    json.member("all", exits.all);
  });
}

std::optional<std::uint64_t> counted(std::uint64_t count) {
  return count == RUNHV_NOT_COUNTED ? std::nullopt : std::optional(count);
}

void write_end(container::JsonWriter& json, const api::AbiEnd& end) {
  json.object("end", [&] {
    json.member("kind", end_name(end));
    json.member("value", end.status.value);
    json.member("oom_kills", end.status.oom_kills);
    if (end.error.code != RUNHV_OK) {
      std::string code = runhv_code_name(end.error.code);
      std::ranges::replace(code, ' ', '_');
      json.member("code", code);
      json.member("operation", end.error.operation);
      json.member("reason", end.error.detail);
    }
  });
}

std::uint64_t microseconds(double ms) { return static_cast<std::uint64_t>(ms * 1e3); }

}  // namespace

const char* end_name(const api::AbiEnd& end) {
  if (end.code != RUNHV_OK) return "failed";
  switch (end.status.end) {
    case RUNHV_END_EXITED:
      return "exited";
    case RUNHV_END_SIGNALED:
      return "signaled";
    default:
      return "not_started";
  }
}

std::string timings_table(const std::string& id, const runhv_statistics& statistics,
                          const api::AbiEnd& end, bool colour) {
  const std::vector<StageTimes> stages = reached_stages(statistics);
  double total_ms = 0;
  for (const StageTimes& stage : stages) {
    total_ms = std::max(total_ms, stage.start_ms + stage.duration_ms);
  }
  std::string text = format("%.64s: engine %s, kernel %.100s, %u CPU, %.0f MiB\n", id.c_str(),
                            statistics.engine, statistics.kernel, statistics.processor_count,
                            static_cast<double>(statistics.memory_bytes) / (1 << 20));
  text += format("%-18s %10s %10s\n", "stage", "start ms", "took ms");
  for (const StageTimes& stage : stages) {
    text += format("%-18s %10.1f %10.1f  ", stage.name.c_str(), stage.start_ms, stage.duration_ms);
    text += bar(stage, total_ms, colour) + "\n";
  }
  text += format("%-18s %10s %10.1f\n", "total", "", total_ms);
  text += exits_line("exits to the first instruction", statistics.exits_to_first_instruction);
  text += exits_line("exits in all", statistics.exits_total);
  text += instructions_line("instructions to the first one",
                            statistics.instructions_to_first_instruction);
  text += instructions_line("instructions in all", statistics.instructions_total);
  text += format("%-34s %.1f MiB, %.1f MiB of it the guest's\n", "private memory",
                 static_cast<double>(statistics.private_bytes) / (1 << 20),
                 static_cast<double>(statistics.guest_memory_resident_bytes) / (1 << 20));
  text += format("%-34s %d\n", "exit status", end.status.exit_status);
  return text;
}

std::string timings_json(const std::string& id, const runhv_statistics& statistics,
                         const api::AbiEnd& end) {
  container::JsonWriter json;
  json.object([&] {
    json.member("version", 1);
    json.member("id", id);
    json.member("engine", statistics.engine);
    json.member("kernel", statistics.kernel);
    json.member("cpus", statistics.processor_count);
    json.member("memory_bytes", statistics.memory_bytes);
    json.array("stages", [&] {
      for (const StageTimes& stage : reached_stages(statistics)) {
        json.object([&] {
          json.member("name", stage.name);
          json.member("start_us", microseconds(stage.start_ms));
          json.member("duration_us", microseconds(stage.duration_ms));
        });
      }
    });
    write_exits(json, "exits_to_first_instruction", statistics.exits_to_first_instruction);
    write_exits(json, "exits_total", statistics.exits_total);
    json.member("instructions_to_first_instruction",
                counted(statistics.instructions_to_first_instruction));
    json.member("instructions_total", counted(statistics.instructions_total));
    json.member("private_bytes", statistics.private_bytes);
    json.member("guest_memory_resident_bytes", statistics.guest_memory_resident_bytes);
    json.member("exit_status", end.status.exit_status);
    write_end(json, end);
  });
  return json.text() + "\n";
}

}  // namespace runhv::vmm_main
