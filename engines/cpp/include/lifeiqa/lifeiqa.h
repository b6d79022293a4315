/* The C interface of lifeiqa, for C, Rust, Go, C# and Python's ctypes.

   A function that can fail returns 0 on success and an error code otherwise; lifeiqa_last_error()
   then returns the message for the calling thread. Strings are UTF-8. For threads, see
   lifeiqa.hpp. */
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

/* A field that is zero has its default. A null pointer instead of the struct means all defaults. */
typedef struct lifeiqa_options {
  const char* crops;   /* crop plan; default: the model's own */
  const char* runtime; /* "onnxruntime", "tensorrt" or "tensorrt-rtx"; default: by file */
  const char* device;  /* "cpu" or "cuda"; default: CUDA if available */
  int32_t threads;     /* CPU threads within one run; default: the runtime decides */
  int64_t max_pixels;  /* largest image that is accepted; default: 128 megapixels */
} lifeiqa_options;

typedef struct lifeiqa_score {
  double value;       /* mean over the crops, in the label units of the model */
  double std;         /* population standard deviation over the crops */
  int32_t crop_count; /* crops of this image */
  int32_t gaps;       /* 1: the image is too long for crop plan cover, whose 16 crops leave gaps */
} lifeiqa_score;

/* The strings live as long as the scorer. */
typedef struct lifeiqa_model {
  const char* name;
  const char* sha256;    /* of the file */
  const char* precision; /* "fp32", "fp16" or "int8" */
  const char* runtime;   /* runtime and device for people, "ONNX Runtime 1.23.2 CPU" */
  double low;            /* range of the scores */
  double high;
  int32_t higher_is_better;
  int32_t crop_size;
  int32_t crop_count; /* most crops of one image; plan cover gives some images fewer */
} lifeiqa_model;

LIFEIQA_EXPORT int lifeiqa_open(const char* path, const lifeiqa_options* options,
                                lifeiqa_scorer** scorer);
LIFEIQA_EXPORT void lifeiqa_close(lifeiqa_scorer* scorer);
LIFEIQA_EXPORT int lifeiqa_describe(const lifeiqa_scorer* scorer, lifeiqa_model* model);

/* Scores an image in memory: rows of width * 3 bytes, RGB, that start stride bytes apart.
   crops receives the score of each crop, lifeiqa_score.crop_count values of at most
   lifeiqa_model.crop_count; it may be null. */
LIFEIQA_EXPORT int lifeiqa_score_rgb(const lifeiqa_scorer* scorer, const uint8_t* rgb,
                                     int32_t width, int32_t height, ptrdiff_t stride,
                                     lifeiqa_score* score, float* crops);
LIFEIQA_EXPORT int lifeiqa_score_file(const lifeiqa_scorer* scorer, const char* path,
                                      lifeiqa_score* score, float* crops);
/* name is what error messages call the image; it may be null. */
LIFEIQA_EXPORT int lifeiqa_score_bytes(const lifeiqa_scorer* scorer, const void* data,
                                       size_t length, const char* name, lifeiqa_score* score,
                                       float* crops);
/* Scores crops, uint8 (count, size, size, 3); scores receives count values. */
LIFEIQA_EXPORT int lifeiqa_score_crops(const lifeiqa_scorer* scorer, const uint8_t* crops,
                                       size_t count, float* scores);

/* Decodes a JPEG or PNG file to width * height * 3 bytes of RGB. Free them with lifeiqa_free. */
LIFEIQA_EXPORT int lifeiqa_decode(const void* data, size_t length, const char* name,
                                  int64_t max_pixels, uint8_t** rgb, int32_t* width,
                                  int32_t* height);

/* Cuts an image into crops, count * size * size * 3 bytes. Free them with lifeiqa_free.
   short_side = 0 never reduces the image. */
LIFEIQA_EXPORT int lifeiqa_cut(const uint8_t* rgb, int32_t width, int32_t height, ptrdiff_t stride,
                               int32_t size, int32_t short_side, const char* resample,
                               const char* plan, uint8_t** crops, int32_t* count);
LIFEIQA_EXPORT void lifeiqa_free(void* memory);

/* The message of the calling thread's last error. It is valid until that thread's next call. */
LIFEIQA_EXPORT const char* lifeiqa_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
