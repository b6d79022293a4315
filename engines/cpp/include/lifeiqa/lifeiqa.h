/* The C interface of lifeiqa, for Rust, Go, C#, Python's ctypes and C.

   Every function that can fail returns 0, or the number of an error; lifeiqa_last_error() then
   gives its text for the calling thread. Texts are UTF-8. Threads: as lifeiqa.hpp says. */
#ifndef LIFEIQA_H
#define LIFEIQA_H

#include <stddef.h>
#include <stdint.h>

#include "lifeiqa/export.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lifeiqa_scorer lifeiqa_scorer;

enum lifeiqa_code {
  LIFEIQA_OK = 0,
  LIFEIQA_CONFIG = 1,
  LIFEIQA_IMAGE = 2,
  LIFEIQA_ARTIFACT = 3,
  LIFEIQA_ENGINE_MISMATCH = 4,
  LIFEIQA_DEVICE = 5,
  LIFEIQA_MISSING = 6,
  LIFEIQA_INTERNAL = 7
};

/* All zero, or a null pointer in its place, is what the model file says and the runtime chooses. */
typedef struct lifeiqa_options {
  const char* crops;    /* a crop plan in place of the model's own */
  const char* provider; /* "cpu" or "cuda" */
  int32_t threads;      /* CPU threads within one run */
  int64_t max_pixels;   /* the largest image that is taken; 0 is 128 megapixels */
} lifeiqa_options;

typedef struct lifeiqa_score {
  double value; /* mean over the crops, in the label units of the model */
  double std;   /* population standard deviation over the crops */
} lifeiqa_score;

typedef struct lifeiqa_model {
  const char* name; /* texts live as long as the scorer */
  const char* sha256;
  const char* precision;
  const char* runtime;
  double low;
  double high;
  int32_t higher_is_better;
  int32_t crop_size;
  int32_t crop_count;
} lifeiqa_model;

LIFEIQA_EXPORT int lifeiqa_open(const char* path, const lifeiqa_options* options,
                                lifeiqa_scorer** scorer);
LIFEIQA_EXPORT void lifeiqa_close(lifeiqa_scorer* scorer);
LIFEIQA_EXPORT int lifeiqa_describe(const lifeiqa_scorer* scorer, lifeiqa_model* model);

/* RGB rows of width * 3 bytes, the start of each stride bytes after that of the one before.
   crops takes the score of each crop, as many as lifeiqa_model.crop_count; it may be null. */
LIFEIQA_EXPORT int lifeiqa_score_rgb(const lifeiqa_scorer* scorer, const uint8_t* rgb,
                                     int32_t width, int32_t height, ptrdiff_t stride,
                                     lifeiqa_score* score, float* crops);
LIFEIQA_EXPORT int lifeiqa_score_file(const lifeiqa_scorer* scorer, const char* path,
                                      lifeiqa_score* score, float* crops);
/* name stands for the image in an error; it may be null. */
LIFEIQA_EXPORT int lifeiqa_score_bytes(const lifeiqa_scorer* scorer, const void* data,
                                       size_t length, const char* name, lifeiqa_score* score,
                                       float* crops);
/* Crops that were cut already, uint8 (count, size, size, 3), to count scores. */
LIFEIQA_EXPORT int lifeiqa_score_crops(const lifeiqa_scorer* scorer, const uint8_t* crops,
                                       size_t count, float* scores);

/* Decodes a JPEG or PNG to RGB, width * height * 3 bytes, which lifeiqa_free gives back. */
LIFEIQA_EXPORT int lifeiqa_decode(const void* data, size_t length, const char* name,
                                  int64_t max_pixels, uint8_t** rgb, int32_t* width,
                                  int32_t* height);

/* Cuts an image into crops, count * size * size * 3 bytes, which lifeiqa_free gives back.
   short_side of 0 keeps every image at its own size. */
LIFEIQA_EXPORT int lifeiqa_cut(const uint8_t* rgb, int32_t width, int32_t height, ptrdiff_t stride,
                               int32_t size, int32_t short_side, const char* resample,
                               const char* plan, uint8_t** crops, int32_t* count);
LIFEIQA_EXPORT void lifeiqa_free(void* memory);

/* The text of this thread's last error; it lives until the thread's next call. */
LIFEIQA_EXPORT const char* lifeiqa_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
