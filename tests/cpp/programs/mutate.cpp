// Decodes and cuts damaged copies of image files, to be run under sanitizers:
//
//     mutate COPIES FILE...
//
// Prints for each file how many copies gave an image and how many an error. The damage is the same
// in every run.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <lifeiqa/lifeiqa.hpp>
#include <random>
#include <vector>

namespace {

using Data = std::vector<char>;

constexpr std::int64_t max_pixels = 4'000'000;  // a damaged header may ask for far more

Data read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// std::uniform_int_distribution gives other numbers in other standard libraries.
std::size_t below(std::mt19937_64& random, std::size_t bound) { return random() % bound; }

Data damaged(Data data, std::mt19937_64& random) {
  for (std::size_t times = 1 + below(random, 4); times > 0 && !data.empty(); --times) {
    const std::size_t at = below(random, data.size());
    const auto place = data.begin() + static_cast<std::ptrdiff_t>(at);
    const std::size_t length = std::min(1 + below(random, 64), data.size() - at);
    const auto end = place + static_cast<std::ptrdiff_t>(length);
    switch (below(random, 6)) {
      case 0:
        *place = static_cast<char>(*place ^ (1 << below(random, 8)));
        break;
      case 1:
        *place = static_cast<char>(below(random, 2) == 0 ? 0xff : below(random, 256));
        break;
      case 2:
        data.resize(at);
        break;
      case 3:
        data.erase(place, end);
        break;
      case 4: {
        const Data part(place, end);
        data.insert(data.begin() + static_cast<std::ptrdiff_t>(below(random, data.size())),
                    part.begin(), part.end());
        break;
      }
      default:  // near the start, where sizes and tables are
        data[below(random, std::min<std::size_t>(data.size(), 200))] =
            static_cast<char>(below(random, 256));
    }
  }
  return data;
}

}  // namespace

int main(int count, char** texts) {
  if (count < 3) return 2;
  lifeiqa::Preprocessing preprocessing;
  preprocessing.size = 32;
  preprocessing.short_side = 40;
  for (int each = 2; each < count; ++each) {
    const Data original = read_file(texts[each]);
    std::mt19937_64 random(static_cast<unsigned>(each));
    int images = 0, errors = 0;
    for (int copy = std::atoi(texts[1]); copy > 0; --copy) {
      const Data data = damaged(original, random);
      try {
        const lifeiqa::Image image = lifeiqa::decode(data.data(), data.size(), "copy", max_pixels);
        lifeiqa::cut(image.rgb.data(), image.width, image.height, image.width * 3, preprocessing);
        ++images;
      } catch (const lifeiqa::Error& error) {
        if (error.code() != lifeiqa::Code::image) {
          std::fprintf(stderr, "%s\n", error.what());
          return 1;
        }
        ++errors;
      }
    }
    std::printf("%s %d %d\n", texts[each], images, errors);
  }
  return 0;
}
