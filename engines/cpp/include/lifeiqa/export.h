/* Marks the symbols that the shared library exports. All others are hidden. */
#ifndef LIFEIQA_EXPORT_H
#define LIFEIQA_EXPORT_H

#if defined(__GNUC__)
#define LIFEIQA_EXPORT __attribute__((visibility("default")))
#else
#define LIFEIQA_EXPORT
#endif

#endif
