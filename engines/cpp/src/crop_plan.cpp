#include "crop_plan.hpp"

#include <algorithm>

#include "error.hpp"

namespace lifeiqa {
namespace {

constexpr std::uint64_t max_crops = 1024;
constexpr int max_cover = 16;

// The random number generator of Steele, Lea and Flood (2014), as the specification defines it.
class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t seed) : state_(seed) {}

  int below(int bound) {
    state_ += 0x9E3779B97F4A7C15u;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    return static_cast<int>((mixed ^ (mixed >> 31)) % static_cast<std::uint64_t>(bound));
  }

 private:
  std::uint64_t state_;
};

std::vector<std::string> split_at_colons(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char each : text) {
    if (each == ':') {
      parts.emplace_back();
    } else {
      parts.back() += each;
    }
  }
  return parts;
}

// A decimal number of 1 to 20 digits below 2^64, or nothing.
std::optional<std::uint64_t> parse_number(const std::string& text) {
  if (text.empty() || text.size() > 20) return std::nullopt;
  std::uint64_t value = 0;
  for (const char each : text) {
    if (each < '0' || each > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(each - '0');
    if (value > (UINT64_MAX - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

}  // namespace

CropPlan CropPlan::parse(const std::string& text) {
  const std::vector<std::string> parts = split_at_colons(text);
  std::vector<std::optional<std::uint64_t>> numbers;
  for (std::size_t at = 1; at < parts.size(); ++at) numbers.push_back(parse_number(parts[at]));
  const bool all_valid = std::all_of(numbers.begin(), numbers.end(),
                                     [](const auto& each) { return each.has_value(); });

  CropPlan plan;
  std::uint64_t count = 0;
  if (parts[0] == "center" && numbers.empty()) {
    count = 1;
  } else if (parts[0] == "five" && numbers.empty()) {
    plan.kind_ = Kind::five;
    count = 5;
  } else if (parts[0] == "cover" && numbers.empty()) {
    plan.kind_ = Kind::cover;
    count = max_cover;
  } else if (parts[0] == "grid" && numbers.size() == 1 && all_valid) {
    plan.kind_ = Kind::grid;
    plan.number_ = std::min(*numbers[0], max_crops + 1);  // avoids overflow of its square
    count = plan.number_ * plan.number_;
  } else if (parts[0] == "random" && numbers.size() == 2 && all_valid) {
    plan.kind_ = Kind::random;
    count = plan.number_ = *numbers[0];
    plan.seed_ = *numbers[1];
  }
  if (count < 1 || count > max_crops) {
    fail(Code::config, "crop plan ", quoted(text),
         ": write center, cover, five, grid:N or random:N:SEED, for 1 to ", max_crops, " crops");
  }
  return plan;
}

int CropPlan::max_count() const noexcept {
  if (kind_ == Kind::five) return 5;
  if (kind_ == Kind::cover) return max_cover;
  const int number = static_cast<int>(number_);
  return kind_ == Kind::grid ? number * number : number;
}

bool CropPlan::leaves_gaps(Size image, int size) const noexcept {
  const std::int64_t longer = std::max(image.height, image.width);
  return kind_ == Kind::cover && longer > std::int64_t{max_cover} * size;
}

std::vector<Window> CropPlan::windows(Size image, int size) const {
  const int rows = image.height - size, columns = image.width - size;
  const int number = static_cast<int>(number_);
  const Window center{rows / 2, columns / 2};
  std::vector<Window> found;
  if (kind_ == Kind::random) {
    SplitMix64 generator(seed_);
    for (int at = 0; at < number; ++at) {
      const int top = generator.below(rows + 1);  // the top is drawn first
      found.push_back({top, generator.below(columns + 1)});
    }
  } else if (kind_ == Kind::grid && number > 1) {
    const auto position = [&](int length, int step) {
      return static_cast<int>(std::int64_t{length} * step / (number - 1));
    };
    for (int y = 0; y < number; ++y) {
      for (int x = 0; x < number; ++x) found.push_back({position(rows, y), position(columns, x)});
    }
  } else if (kind_ == Kind::cover) {
    const std::int64_t spare = std::max(rows, columns);
    const auto needed = (spare + size + size - 1) / size;
    const std::int64_t windows = std::min<std::int64_t>(needed, max_cover);
    for (std::int64_t at = 0; at < windows; ++at) {
      const int place = static_cast<int>(spare * at / std::max<std::int64_t>(1, windows - 1));
      found.push_back(columns >= rows ? Window{center.top, place} : Window{place, center.left});
    }
  } else if (kind_ == Kind::five) {
    found = {center, {0, 0}, {0, columns}, {rows, 0}, {rows, columns}};
  } else {
    found = {center};
  }
  return found;
}

Size working_size(Size image, const std::optional<int>& short_side, int size) {
  if (short_side && *short_side < size) {
    fail(Code::config, "short_side ", *short_side, " is below the crop of ", size, " pixels");
  }
  const std::int64_t shorter = std::min(image.height, image.width);
  std::int64_t target = shorter;
  if (shorter < size) {
    target = size;
  } else if (short_side && shorter > *short_side) {
    target = *short_side;
  }
  if (target == shorter) return image;
  const auto scaled = [&](std::int64_t side) {
    return std::max<std::int64_t>(size, (2 * side * target + shorter) / (2 * shorter));
  };
  const std::int64_t height = scaled(image.height), width = scaled(image.width);
  if (height > max_pixels_default / width) {
    fail(Code::image, "an image of ", image.width, "x", image.height,
         " is too thin: with its short side at ", target, " it would be ", width, "x", height,
         ". Cut it before scoring");
  }
  return {static_cast<int>(height), static_cast<int>(width)};
}

}  // namespace lifeiqa
