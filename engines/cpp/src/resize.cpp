#include "resize.hpp"

#include <algorithm>
#include <cmath>

#include "error.hpp"

namespace lifeiqa {
namespace {

constexpr int fraction_bits = 22;

struct Kernel {
  double (*weight)(double);
  double support;  // the kernel is zero outside
};

double triangle(double x) {
  x = std::fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

// Keys (1981) with a = -0.5. The order of the operations matters to the last bit.
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

Kernel kernel_named(const std::string& name) {
  require_choice("resample", name, {"bilinear", "bicubic"});
  return name == "bilinear" ? Kernel{triangle, 1.0} : Kernel{cubic, 2.0};
}

// The input samples of one output sample, and their weights in fixed point.
struct Taps {
  int first = 0;
  std::vector<std::int32_t> weights;
};

std::vector<Taps> compute_taps(int input, int output, const Kernel& kernel) {
  const double scale = static_cast<double>(input) / output;
  const double stretch = std::max(1.0, scale);  // also low-pass filters when reducing
  const double support = kernel.support * stretch, inverse = 1.0 / stretch;
  std::vector<Taps> all(static_cast<std::size_t>(output));
  std::vector<double> exact;
  for (int at = 0; at < output; ++at) {
    const double centre = (at + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int last = std::min(input, static_cast<int>(centre + support + 0.5));
    exact.clear();
    double sum = 0.0;
    for (int each = first; each < last; ++each) {
      exact.push_back(kernel.weight((each - centre + 0.5) * inverse));
      sum += exact.back();
    }
    Taps& taps = all[static_cast<std::size_t>(at)];
    taps.first = first;
    for (double weight : exact) {
      if (sum != 0.0) weight /= sum;
      const double fixed = weight * (1 << fraction_bits);
      taps.weights.push_back(static_cast<std::int32_t>(fixed + (fixed < 0 ? -0.5 : 0.5)));
    }
  }
  return all;
}

std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> fraction_bits, 0, 255));
}

constexpr std::int32_t rounding = 1 << (fraction_bits - 1);

Image resized_horizontally(View from, int width, const Kernel& kernel) {
  const std::vector<Taps> taps = compute_taps(from.width, width, kernel);
  Image to = empty_image(width, from.height);
  std::uint8_t* out = to.rgb.data();
  for (int y = 0; y < from.height; ++y) {
    for (const Taps& each : taps) {
      const std::uint8_t* in = from.row(y) + std::ptrdiff_t{each.first} * 3;
      std::int32_t red = rounding, green = rounding, blue = rounding;
      for (const std::int32_t weight : each.weights) {
        red += in[0] * weight;
        green += in[1] * weight;
        blue += in[2] * weight;
        in += 3;
      }
      *out++ = to_byte(red);
      *out++ = to_byte(green);
      *out++ = to_byte(blue);
    }
  }
  return to;
}

Image resized_vertically(View from, int height, const Kernel& kernel) {
  const std::vector<Taps> taps = compute_taps(from.height, height, kernel);
  Image to = empty_image(from.width, height);
  const std::size_t samples = static_cast<std::size_t>(from.width) * 3;
  std::vector<std::int32_t> sums(samples);
  std::uint8_t* out = to.rgb.data();
  for (const Taps& each : taps) {
    std::fill(sums.begin(), sums.end(), rounding);
    for (std::size_t tap = 0; tap < each.weights.size(); ++tap) {
      const std::uint8_t* in = from.row(each.first + static_cast<int>(tap));
      const std::int32_t weight = each.weights[tap];
      for (std::size_t x = 0; x < samples; ++x) sums[x] += in[x] * weight;
    }
    for (std::size_t x = 0; x < samples; ++x) *out++ = to_byte(sums[x]);
  }
  return to;
}

}  // namespace

void require_kernel(const std::string& resample) { kernel_named(resample); }

Image resized(View image, Size size, const std::string& resample) {
  const Kernel kernel = kernel_named(resample);
  if (size.width == image.width) return resized_vertically(image, size.height, kernel);
  Image intermediate = resized_horizontally(image, size.width, kernel);
  if (size.height == image.height) return intermediate;
  return resized_vertically(view_of(intermediate), size.height, kernel);
}

}  // namespace lifeiqa
