// Scores image files and prints a table as CSV:
//
//     lifeiqa-csv MODEL.onnx IMAGE... > scores.csv
//
// For an image that cannot be scored, the last column holds the error, and the exit status is 1.
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <lifeiqa/lifeiqa.hpp>
#include <string>
#include <vector>

namespace {

constexpr auto usage =
    "usage: lifeiqa-csv [--crops PLAN] [--runtime onnxruntime|tensorrt|tensorrt-rtx] "
    "[--device cpu|cuda] [--threads N] MODEL IMAGE...\n";

// A field of RFC 4180: in quotes if necessary, with quotes inside doubled.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return text;
  std::string quoted = "\"";
  for (const char each : text) {
    quoted += each;
    if (each == '"') quoted += each;
  }
  return quoted + "\"";
}

// The shortest text that reads back as the same number, as Python prints it.
std::string number(double value) {
  char text[32];
  std::string written(text, std::to_chars(text, text + sizeof text, value).ptr);
  if (written.find_first_of(".en") == written.npos) written += ".0";
  return written;
}

struct Arguments {
  lifeiqa::Options options;
  std::vector<std::string> files;  // the model, then the images
  bool valid = true;
};

Arguments parse(int count, char** texts) {
  Arguments given;
  for (int at = 1; at < count; ++at) {
    const std::string text = texts[at];
    if (text.rfind("--", 0) != 0) {
      given.files.push_back(text);
      continue;
    }
    const char* value = at + 1 < count ? texts[++at] : nullptr;
    if (value == nullptr) {
      given.valid = false;
    } else if (text == "--crops") {
      given.options.crops = value;
    } else if (text == "--runtime") {
      given.options.runtime = value;
    } else if (text == "--device") {
      given.options.device = value;
    } else if (text == "--provider") {  // the former name of --device
      std::fputs("lifeiqa-csv: --provider is deprecated, use --device\n", stderr);
      given.options.device = value;
    } else if (text == "--threads") {
      char* end = nullptr;
      const long number = std::strtol(value, &end, 10);
      given.valid = given.valid && *value != 0 && *end == 0 && number >= 1 && number <= 4096;
      given.options.threads = static_cast<int>(number);
    } else {
      given.valid = false;
    }
  }
  given.valid = given.valid && given.files.size() >= 2;
  return given;
}

}  // namespace

int main(int count, char** texts) {
  const Arguments given = parse(count, texts);
  if (!given.valid) {
    std::fputs(usage, stderr);
    return 2;
  }
  const auto scorer = lifeiqa::Scorer::try_open(given.files[0], given.options);
  if (!scorer) {
    std::fprintf(stderr, "lifeiqa-csv: %s\n", scorer.status().message.c_str());
    return scorer.status().code == lifeiqa::Code::config ? 2 : 1;
  }
  bool failed = false;
  std::puts("path,score,std,error");
  for (std::size_t at = 1; at < given.files.size(); ++at) {
    const std::string& path = given.files[at];
    const auto score = scorer.value().try_score_file(path);
    if (score) {
      std::printf("%s,%s,%s,\n", field(path).c_str(), number(score.value().value).c_str(),
                  number(score.value().std).c_str());
      if (score.value().gaps) {
        std::fprintf(stderr, "lifeiqa-csv: %s: too long for its crops, which leave gaps\n",
                     path.c_str());
      }
    } else {
      failed = true;
      std::printf("%s,,,%s\n", field(path).c_str(), field(score.status().message).c_str());
    }
  }
  return failed ? 1 : 0;
}
