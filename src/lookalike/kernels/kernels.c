/* The loops that a search spends its time in. Nothing here allocates, reads files or keeps state.

   Every function has a slow, obvious twin in reference.py, which is also what runs where this file
   could not be compiled. Vector instructions are chosen at run time; `level` 0 takes none of them.

   Rows are numbered from the start of an array. All numbers are in the machine's own byte order. */

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define X86 1
#include <immintrin.h>
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")))
#define AVX2 __attribute__((target("avx2,fma,f16c")))
#else
#define X86 0
#endif

#define EXPORT __attribute__((visibility("default")))

typedef struct { float score; int32_t row; } Found;

EXPORT int lookalike_abi(void) { return 8; }

/* 0: plain C, 1: AVX2, 2: AVX-512 with VNNI. */
EXPORT int lookalike_level(void)
{
#if X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
        && __builtin_cpu_supports("f16c"))
        return 1;
#endif
    return 0;
}

static float root(float value)
{
#if X86
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(value)));
#else
    return __builtin_sqrtf(value);
#endif
}

static double root64(double value)
{
#if X86
    return _mm_cvtsd_f64(_mm_sqrt_pd(_mm_set_sd(value)));
#else
    return __builtin_sqrt(value);
#endif
}

/* ---- choosing the best ---------------------------------------------------------------------- */

/* Bring the `keep` highest of n found rows to the front, in no order (Hoare's selection). */
static void select_best(Found *found, int64_t n, int64_t keep)
{
    int64_t low = 0, high = n - 1;
    while (low < high) {
        float pivot = found[low + (high - low) / 2].score;
        int64_t i = low, j = high;
        while (i <= j) {
            while (found[i].score > pivot) i++;
            while (found[j].score < pivot) j--;
            if (i <= j) {
                Found swapped = found[i];
                found[i++] = found[j];
                found[j--] = swapped;
            }
        }
        if (keep - 1 <= j) high = j;
        else if (keep - 1 >= i) low = i;
        else return;
    }
}

static float lowest(const Found *found, int64_t n)
{
    float least = found[0].score;
    for (int64_t i = 1; i < n; i++)
        if (found[i].score < least) least = found[i].score;
    return least;
}

/* The best `keep` seen so far, among up to `room` that wait to be sorted out. */
typedef struct {
    Found *found;
    int64_t count, keep, room;
    float least; /* a score must exceed this to be of interest */
    int dropped; /* whether any such score was left out */
} Best;

static inline void offer(Best *best, float score, int32_t row)
{
    if (best->count == best->room) {
        select_best(best->found, best->count, best->keep);
        best->count = best->keep;
        best->dropped = 1;
        float least = best->least = lowest(best->found, best->keep);
        if (score <= least) return;
    }
    best->found[best->count].score = score;
    best->found[best->count++].row = row;
}

/* ---- scanning 4-bit codes --------------------------------------------------------------------

   Codes lie in groups of 16 rows. A group has `octets` blocks of 64 bytes; block o holds dimensions
   8 o to 8 o + 7: byte 4 r + j has dimension 8 o + j of row r in its low half and dimension
   8 o + 4 + j in its high half. A query lies in the same order, int8. The estimate of a row is
   offset + scale * query_scale * (sum(code * query) - 7.5 * sum(query)). */

typedef struct {
    const int8_t *values; /* 8 * octets */
    float scale, correction; /* query_scale, -7.5 * sum(query) */
} Query;

static void sums_plain(const uint8_t *block, int octets, const int8_t *query, int32_t *sums)
{
    for (int r = 0; r < 16; r++) sums[r] = 0;
    for (int o = 0; o < octets; o++, block += 64, query += 8)
        for (int r = 0; r < 16; r++)
            for (int j = 0; j < 4; j++) {
                uint8_t byte = block[4 * r + j];
                sums[r] += (byte & 15) * query[j] + (byte >> 4) * query[4 + j];
            }
}

static void group_plain(const uint8_t *block, int octets, const Query *queries, int n,
                        const float *scale, const float *offset, uint32_t allowed,
                        int32_t first, Best *best)
{
    int32_t sums[16];
    for (int q = 0; q < n; q++) {
        sums_plain(block, octets, queries[q].values, sums);
        for (int r = 0; r < 16; r++) {
            float score = offset[r]
                + scale[r] * queries[q].scale * ((float)sums[r] + queries[q].correction);
            if ((allowed >> r & 1) && score > best[q].least) offer(&best[q], score, first + r);
        }
    }
}

#if X86
/* Sums of 16 rows for `count` queries, 1 or 2. Four octets' products fit 16 bits together: each is a
   sum of four products of at most 15 * 127. `codes` has an octet's four registers one after another:
   low halves of rows 0 to 7 and 8 to 15, then high halves. */
AVX2 static inline __attribute__((always_inline)) void sums_avx2(
    const __m256i *codes, int octets, const Query *queries, int count, __m256i sums[2][2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    for (int q = 0; q < count; q++)
        for (int half = 0; half < 2; half++) sums[q][half] = _mm256_setzero_si256();
    for (int start = 0; start < octets; start += 4) {
        int end = start + 4 < octets ? start + 4 : octets;
        __m256i narrow[2][2];
        for (int q = 0; q < count; q++)
            for (int half = 0; half < 2; half++) narrow[q][half] = _mm256_setzero_si256();
        for (int o = start; o < end; o++)
            for (int part = 0; part < 2; part++)
                for (int q = 0; q < count; q++) {
                    __m256i values = _mm256_set1_epi32(
                        *(const int32_t *)(queries[q].values + 8 * o + 4 * part));
                    for (int half = 0; half < 2; half++)
                        narrow[q][half] = _mm256_add_epi16(
                            narrow[q][half],
                            _mm256_maddubs_epi16(codes[4 * o + 2 * part + half], values));
                }
        for (int q = 0; q < count; q++)
            for (int half = 0; half < 2; half++)
                sums[q][half] = _mm256_add_epi32(sums[q][half],
                                                 _mm256_madd_epi16(narrow[q][half], ones));
    }
}

AVX2 static inline void offer_avx2(const __m256i *sums, const Query *query, const float *scale,
                                   const float *offset, uint32_t allowed, int32_t first, Best *best)
{
    for (int half = 0; half < 2; half++) {
        __m256 value = _mm256_add_ps(_mm256_cvtepi32_ps(sums[half]),
                                     _mm256_set1_ps(query->correction));
        __m256 factor = _mm256_mul_ps(_mm256_loadu_ps(scale + 8 * half),
                                      _mm256_set1_ps(query->scale));
        __m256 result = _mm256_fmadd_ps(value, factor, _mm256_loadu_ps(offset + 8 * half));
        uint32_t hits = (uint32_t)_mm256_movemask_ps(
            _mm256_cmp_ps(result, _mm256_set1_ps(best->least), _CMP_GT_OQ));
        hits &= allowed >> (8 * half) & 255;
        if (!hits) continue;
        float scores[8];
        _mm256_storeu_ps(scores, result);
        for (; hits; hits &= hits - 1) {
            int r = __builtin_ctz(hits);
            if (scores[r] > best->least) offer(best, scores[r], first + 8 * half + r);
        }
    }
}

enum { MOST_OCTETS = 64 };

AVX2 static void group_avx2(const uint8_t *block, int octets, const Query *queries, int n,
                            const float *scale, const float *offset, uint32_t allowed,
                            int32_t first, Best *best)
{
    const __m256i low = _mm256_set1_epi8(15);
    __m256i codes[4 * MOST_OCTETS], sums[2][2]; /* unpacked once for all queries */
    for (int o = 0; o < octets; o++)
        for (int half = 0; half < 2; half++) {
            __m256i both = _mm256_loadu_si256((const __m256i *)(block + 64 * o + 32 * half));
            codes[4 * o + half] = _mm256_and_si256(both, low);
            codes[4 * o + 2 + half] = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
        }
    int q = 0;
    for (; q + 2 <= n; q += 2) {
        sums_avx2(codes, octets, queries + q, 2, sums);
        offer_avx2(sums[0], queries + q, scale, offset, allowed, first, best + q);
        offer_avx2(sums[1], queries + q + 1, scale, offset, allowed, first, best + q + 1);
    }
    if (q < n) {
        sums_avx2(codes, octets, queries + q, 1, sums);
        offer_avx2(sums[0], queries + q, scale, offset, allowed, first, best + q);
    }
}

AVX512 static inline void offer_avx512(__m512i sum, const Query *query, __m512 scale, __m512 offset,
                                       uint32_t allowed, int32_t first, Best *best)
{
    __m512 value = _mm512_add_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(query->correction));
    __m512 factor = _mm512_mul_ps(scale, _mm512_set1_ps(query->scale));
    __m512 result = _mm512_fmadd_ps(value, factor, offset);
    uint32_t hits = _mm512_mask_cmp_ps_mask((__mmask16)allowed, result,
                                            _mm512_set1_ps(best->least), _CMP_GT_OQ);
    if (!hits) return;
    float scores[16];
    _mm512_storeu_ps(scores, result);
    for (; hits; hits &= hits - 1) {
        int r = __builtin_ctz(hits);
        if (scores[r] > best->least) offer(best, scores[r], first + r);
    }
}

AVX512 static void group_avx512(const uint8_t *block, int octets, const Query *queries, int n,
                                const float *scale, const float *offset, uint32_t allowed,
                                int32_t first, Best *best)
{
    const __m512i low = _mm512_set1_epi8(15);
    const __m512 scales = _mm512_loadu_ps(scale), offsets = _mm512_loadu_ps(offset);
    int q = 0;
    for (; q + 4 <= n; q += 4) { /* four queries share the unpacking */
        const int8_t *a = queries[q].values, *b = queries[q + 1].values;
        const int8_t *c = queries[q + 2].values, *d = queries[q + 3].values;
        /* Two sums a query: successive additions to one would wait for each other. */
        __m512i sa = _mm512_setzero_si512(), sb = sa, sc = sa, sd = sa;
        __m512i ta = sa, tb = sa, tc = sa, td = sa;
        for (int o = 0; o < octets; o++) {
            __m512i codes = _mm512_loadu_si512(block + 64 * o);
            __m512i lo = _mm512_and_si512(codes, low);
            __m512i hi = _mm512_and_si512(_mm512_srli_epi16(codes, 4), low);
#define STEP(even, odd, query) \
            even = _mm512_dpbusd_epi32(even, lo, \
                                       _mm512_set1_epi32(*(const int32_t *)(query + 8 * o))); \
            odd = _mm512_dpbusd_epi32(odd, hi, \
                                      _mm512_set1_epi32(*(const int32_t *)(query + 8 * o + 4)));
            STEP(sa, ta, a) STEP(sb, tb, b) STEP(sc, tc, c) STEP(sd, td, d)
        }
#undef STEP
#define OFFER(even, odd, number) \
        offer_avx512(_mm512_add_epi32(even, odd), queries + (number), scales, offsets, allowed, \
                     first, best + (number));
        OFFER(sa, ta, q) OFFER(sb, tb, q + 1) OFFER(sc, tc, q + 2) OFFER(sd, td, q + 3)
#undef OFFER
    }
    for (; q < n; q++) {
        const int8_t *query = queries[q].values;
        __m512i even = _mm512_setzero_si512(), odd = even;
        for (int o = 0; o < octets; o++) {
            __m512i codes = _mm512_loadu_si512(block + 64 * o);
            __m512i lo = _mm512_and_si512(codes, low);
            __m512i hi = _mm512_and_si512(_mm512_srli_epi16(codes, 4), low);
            even = _mm512_dpbusd_epi32(even, lo,
                                       _mm512_set1_epi32(*(const int32_t *)(query + 8 * o)));
            odd = _mm512_dpbusd_epi32(odd, hi,
                                      _mm512_set1_epi32(*(const int32_t *)(query + 8 * o + 4)));
        }
        offer_avx512(_mm512_add_epi32(even, odd), &queries[q], scales, offsets, allowed, first,
                     &best[q]);
    }
}
#endif

/* For each of n queries, all rows with estimates above its `least` among rows first_group * 16 up to
   the end of last_group (excluded), unordered; where they are more than room, the `keep` highest.
   `allowed` has 16 bits a group. found has n * room places, room > keep; counts (n) takes how many
   were found, less than 0 if some were left out. */
EXPORT void lookalike_scan(int level, const uint8_t *codes, int64_t first_group, int64_t last_group,
                           int octets, const float *scale, const float *offset,
                           const uint16_t *allowed, const int8_t *values, const float *query_scale,
                           const float *correction, const float *least, int n, int64_t keep,
                           int64_t room, Found *found, int64_t *counts)
{
    enum { TILE = 32 };
    for (int start = 0; start < n; start += TILE) { /* queries that fit the nearest cache */
        int tile = n - start < TILE ? n - start : TILE;
        Query queries[TILE];
        Best best[TILE];
        for (int q = 0; q < tile; q++) {
            int own = start + q;
            queries[q] = (Query){ values + (int64_t)own * 8 * octets, query_scale[own],
                                  correction[own] };
            best[q] = (Best){ found + (int64_t)own * room, 0, keep, room, least[own], 0 };
        }
        for (int64_t g = first_group; g < last_group; g++) {
            uint32_t mask = allowed[g];
            if (!mask) continue;
            const uint8_t *block = codes + g * 64 * octets;
            int32_t first = (int32_t)(g * 16);
#if X86
            if (level >= 2) {
                group_avx512(block, octets, queries, tile, scale + first, offset + first, mask,
                             first, best);
                continue;
            }
            if (level == 1 && octets <= MOST_OCTETS) {
                group_avx2(block, octets, queries, tile, scale + first, offset + first, mask,
                           first, best);
                continue;
            }
#endif
            group_plain(block, octets, queries, tile, scale + first, offset + first, mask, first,
                        best);
        }
        for (int q = 0; q < tile; q++) {
            if (best[q].dropped) select_best(best[q].found, best[q].count, keep);
            counts[start + q] = best[q].dropped ? -keep : best[q].count;
        }
    }
}

/* ---- 4-bit codes of single rows --------------------------------------------------------------

   Row i has `bytes` bytes at codes + i * bytes; byte j has dimension j in its low half and dimension
   bytes + j in its high half. What a row gives is sum(code * query). */

static int32_t row_plain(const uint8_t *codes, int bytes, const int8_t *query)
{
    int32_t sum = 0;
    for (int j = 0; j < bytes; j++)
        sum += (codes[j] & 15) * query[j] + (codes[j] >> 4) * query[bytes + j];
    return sum;
}

#if X86
AVX2 static int32_t row_avx2(const uint8_t *codes, int bytes, const int8_t *query)
{
    const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    __m256i sum = _mm256_setzero_si256();
    for (int j = 0; j < bytes; j += 32) {
        __m256i both = _mm256_loadu_si256((const __m256i *)(codes + j));
        __m256i a = _mm256_maddubs_epi16(_mm256_and_si256(both, low),
                                         _mm256_loadu_si256((const __m256i *)(query + j)));
        __m256i b = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(both, 4), low),
                                         _mm256_loadu_si256((const __m256i *)(query + bytes + j)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_add_epi16(a, b), ones));
    }
    int32_t parts[8], whole = 0;
    _mm256_storeu_si256((__m256i *)parts, sum);
    for (int i = 0; i < 8; i++) whole += parts[i];
    return whole;
}

AVX512 static int32_t row_avx512(const uint8_t *codes, int bytes, const int8_t *query)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i sum = _mm512_setzero_si512();
    for (int j = 0; j < bytes; j += 64) {
        __m512i both = _mm512_loadu_si512(codes + j);
        sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(both, low),
                                  _mm512_loadu_si512(query + j));
        sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16(both, 4), low),
                                  _mm512_loadu_si512(query + bytes + j));
    }
    return _mm512_reduce_add_epi32(sum);
}
#endif

static int32_t one_row(int level, const uint8_t *codes, int bytes, const int8_t *query)
{
#if X86
    if (level >= 2 && bytes % 64 == 0) return row_avx512(codes, bytes, query);
    if (level >= 1 && bytes % 32 == 0) return row_avx2(codes, bytes, query);
#endif
    return row_plain(codes, bytes, query);
}

/* ---- halves ---------------------------------------------------------------------------------- */

static float widen(uint16_t half)
{
    union { uint32_t bits; float value; } out, scale;
    out.bits = (uint32_t)(half & 0x8000) << 16 | (uint32_t)(half & 0x7fff) << 13;
    scale.bits = 0x77800000u; /* 2^112 makes good the exponents' different offsets */
    return out.value * scale.value;
}

static void products_plain(const uint16_t *row, int dim, const float *query, float *product,
                           float *square)
{
    float p[8] = { 0 }, s[8] = { 0 };
    for (int j = 0; j < dim; j++) {
        float value = widen(row[j]);
        p[j % 8] += value * query[j];
        s[j % 8] += value * value;
    }
    *product = ((p[0] + p[1]) + (p[2] + p[3])) + ((p[4] + p[5]) + (p[6] + p[7]));
    *square = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

#if X86
AVX2 static void products_avx2(const uint16_t *row, int dim, const float *query, float *product,
                               float *square)
{
    __m256 p = _mm256_setzero_ps(), s = p;
    int j = 0;
    for (; j + 8 <= dim; j += 8) {
        __m256 value = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(row + j)));
        p = _mm256_fmadd_ps(value, _mm256_loadu_ps(query + j), p);
        s = _mm256_fmadd_ps(value, value, s);
    }
    float ps[8], ss[8], sum = 0, squares = 0;
    _mm256_storeu_ps(ps, p);
    _mm256_storeu_ps(ss, s);
    for (int i = 0; i < 8; i++) { sum += ps[i]; squares += ss[i]; }
    for (; j < dim; j++) {
        float value = widen(row[j]);
        sum += value * query[j];
        squares += value * value;
    }
    *product = sum;
    *square = squares;
}

AVX512 static void products_avx512(const uint16_t *row, int dim, const float *query, float *product,
                                   float *square)
{
    __m512 p = _mm512_setzero_ps(), q = p, s = p, t = p;
    int j = 0;
    for (; j + 32 <= dim; j += 32) {
        __m512 a = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(row + j)));
        __m512 b = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(row + j + 16)));
        p = _mm512_fmadd_ps(a, _mm512_loadu_ps(query + j), p);
        q = _mm512_fmadd_ps(b, _mm512_loadu_ps(query + j + 16), q);
        s = _mm512_fmadd_ps(a, a, s);
        t = _mm512_fmadd_ps(b, b, t);
    }
    float sum = _mm512_reduce_add_ps(_mm512_add_ps(p, q));
    float squares = _mm512_reduce_add_ps(_mm512_add_ps(s, t));
    for (; j < dim; j++) {
        float value = widen(row[j]);
        sum += value * query[j];
        squares += value * value;
    }
    *product = sum;
    *square = squares;
}
#endif

static float cosine(int level, const uint16_t *row, int dim, const float *query)
{
    float product, square;
#if X86
    if (level >= 2) products_avx512(row, dim, query, &product, &square);
    else if (level == 1) products_avx2(row, dim, query, &product, &square);
    else
#endif
        products_plain(row, dim, query, &product, &square);
    return square > 0 ? product / root(square) : 0;
}

/* Cosines of m float32 unit queries with rows of halves, out (m, n); a row of zeros has cosine 0.
   `rows` NULL means row 0 to n - 1. */
EXPORT void lookalike_cosines(int level, const uint16_t *halves, int dim, const int64_t *rows,
                              int64_t n, const float *queries, int m, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        const uint16_t *row = halves + (rows ? rows[i] : i) * dim;
        if (rows && i + 1 < n) {
            const char *next = (const char *)(halves + rows[i + 1] * dim);
            for (int line = 0; line < 2 * dim; line += 64) __builtin_prefetch(next + line);
        }
        for (int q = 0; q < m; q++)
            out[q * n + i] = cosine(level, row, dim, queries + (int64_t)q * dim);
    }
}

/* A table of halves in segments that follow each other: segment i begins at row starts[i]. */
typedef struct {
    const uint16_t *const *segments;
    const int64_t *starts;
    int count, dim;
} Table;

static const uint16_t *row_of(const Table *table, int64_t row)
{
    int low = 0, high = table->count - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (table->starts[middle] <= row) low = middle;
        else high = middle - 1;
    }
    return table->segments[low] + (row - table->starts[low]) * table->dim;
}

/* As lookalike_cosines, in double, with rows of several segments: for the few whose order is
   decided. */
EXPORT void lookalike_cosines64(const uint16_t *const *segments, const int64_t *starts,
                                int segment_count, int dim, const int64_t *rows, int64_t n,
                                const double *query, double *out)
{
    Table table = { segments, starts, segment_count, dim };
    for (int64_t i = 0; i < n; i++) {
        const uint16_t *row = row_of(&table, rows[i]);
        double product[8] = { 0 }, square[8] = { 0 };
        for (int j = 0; j < dim; j++) {
            double value = widen(row[j]);
            product[j % 8] += value * query[j];
            square[j % 8] += value * value;
        }
        for (int j = 1; j < 8; j++) {
            product[0] += product[j];
            square[0] += square[j];
        }
        out[i] = square[0] > 0 ? product[0] / root64(square[0]) : 0;
    }
}

/* ---- products of float32 vectors -------------------------------------------------------------- */

typedef float Eight __attribute__((vector_size(32), may_alias, aligned(4)));

/* Four axes share what is read of a row; lanes are summed in one order at every level. */
static inline __attribute__((always_inline)) void multiply(
    const float *rows, int64_t n, int dim, const float *axes, int64_t m, float *out)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j += 4) {
            const float *row = rows + i * dim, *axis[4];
            for (int a = 0; a < 4; a++) axis[a] = axes + (j + a < m ? j + a : m - 1) * dim;
            Eight sums[4] = { { 0 }, { 0 }, { 0 }, { 0 } };
            int d = 0;
            for (; d + 8 <= dim; d += 8)
#pragma GCC unroll 4
                for (int a = 0; a < 4; a++)
                    sums[a] += *(const Eight *)(row + d) * *(const Eight *)(axis[a] + d);
            for (int a = 0; a < 4 && j + a < m; a++) {
                const float *s = (const float *)&sums[a];
                float sum = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
                for (int rest = d; rest < dim; rest++) sum += row[rest] * axis[a][rest];
                out[i * m + j + a] = sum;
            }
        }
}

#if X86
AVX2 static void multiply_avx2(const float *rows, int64_t n, int dim, const float *axes, int64_t m,
                               float *out)
{
    multiply(rows, n, dim, axes, m, out);
}
#endif

/* out (n, m): products of rows (n, dim) with axes (m, dim). */
EXPORT void lookalike_products(int level, const float *rows, int64_t n, int dim, const float *axes,
                               int64_t m, float *out)
{
#if X86
    if (level >= 1) multiply_avx2(rows, n, dim, axes, m, out);
    else
#endif
        multiply(rows, n, dim, axes, m, out);
}

/* ---- from estimates to exact cosines ---------------------------------------------------------

   What a scan found becomes a few rows with exact cosines: all estimates are refined by the second
   block of codes, and the best `keep` of them are compared with whole vectors. */

static void compare(int level, const Table *table, const Found *found, int64_t n,
                    const float *query, Found *out)
{
    for (int64_t i = 0; i < n; i++) {
        if (i + 1 < n) {
            const char *next = (const char *)row_of(table, found[i + 1].row);
            for (int line = 0; line < 2 * table->dim; line += 64) __builtin_prefetch(next + line);
        }
        const uint16_t *row = row_of(table, found[i].row);
        out[i] = (Found){ cosine(level, row, table->dim, query), found[i].row };
    }
}

/* The second block of codes: byte j of a row has dimension j in its low half and dimension bytes + j
   in its high half. `values` has 2 * bytes numbers a query. */
typedef struct {
    const uint8_t *codes;
    int bytes;
    const float *code_scale;
    const int8_t *values;
    const float *value_scale, *correction;
} Second;

/* The second block's share is added to the estimates found[first .. last) for query q. */
static void sift(int level, const Second *second, int64_t q, Found *found, int64_t first,
                 int64_t last)
{
    enum { AHEAD = 16 };
    int bytes = second->bytes;
    const int8_t *values = second->values + q * 2 * bytes;
    float value_scale = second->value_scale[q], correction = second->correction[q];
    for (int64_t i = first; i < last; i++) {
        if (i + AHEAD < last) {
            int64_t next = found[i + AHEAD].row;
            for (int line = 0; line < bytes; line += 64)
                __builtin_prefetch(second->codes + next * bytes + line);
            __builtin_prefetch(second->code_scale + next);
        }
        int64_t row = found[i].row;
        int32_t sum = one_row(level, second->codes + row * bytes, bytes, values);
        found[i].score += second->code_scale[row] * value_scale * ((float)sum + correction);
    }
}

#define SECOND_ARGUMENTS                                                                           \
    const uint8_t *codes, int bytes, const float *code_scale, const int8_t *values,                \
        const float *value_scale, const float *correction

/* sift for one query, so that several threads can share it. */
EXPORT void lookalike_sift(int level, SECOND_ARGUMENTS, int64_t q, Found *found, int64_t first,
                           int64_t last)
{
    Second second = { codes, bytes, code_scale, values, value_scale, correction };
    sift(level, &second, q, found, first, last);
}

/* found[0 .. n) of one query becomes out[0 .. result): rows and exact cosines, those of the k best
   among them, those below the k-th by more than `slack` left out. out has room for keep rows. */
static int64_t refine_one(int level, const Table *table, const float *query, int64_t k,
                          int64_t keep, float slack, Found *found, int64_t n, Found *out)
{
    if (n > keep) {
        select_best(found, n, keep);
        n = keep;
    }
    compare(level, table, found, n, query, out);
    if (n <= k) return n;
    select_best(out, n, k);
    float least = lowest(out, k) - slack;
    int64_t result = k;
    for (int64_t i = k; i < n; i++)
        if (out[i].score >= least) out[result++] = out[i];
    return result;
}

/* sift, unless it is done, and refine_one for queries `first` to `last` (excluded). found has `room`
   places a query, of which counts are filled; out has keep places a query, and filled takes how many
   are. */
EXPORT void lookalike_refine(int level, const uint16_t *const *segments, const int64_t *starts,
                             int segment_count, int dim, SECOND_ARGUMENTS, int sifted,
                             const float *queries, int64_t first, int64_t last, int64_t k,
                             int64_t keep, float slack, Found *found, int64_t room,
                             const int64_t *counts, Found *out, int64_t *filled)
{
    Table table = { segments, starts, segment_count, dim };
    Second second = { codes, bytes, code_scale, values, value_scale, correction };
    for (int64_t q = first; q < last; q++) {
        Found *own = found + q * room;
        if (bytes && !sifted) sift(level, &second, q, own, 0, counts[q]);
        filled[q] = refine_one(level, &table, queries + q * dim, k, keep, slack, own, counts[q],
                               out + q * keep);
    }
}

/* ---- resampling pictures ---------------------------------------------------------------------

   As Pillow's Image.resize does for 8-bit pictures, bit for bit: first along rows, then along
   columns, with weights of 22 bits behind the point, rounded to 8 bits after each. Pixels take 4
   bytes, the last of which means nothing. */

#if X86
enum { WEIGHT_BITS = 22 };

typedef struct { int first, count; } Span;

static double box_filter(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double cubic_filter(double x)
{
    if (x < 0) x = -x;
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
    return 0;
}

/* For each of `out` places between `from` and `to`: which of `in` pixels count, how much each. A
   place's weights begin `room` after the last one's; each is there `copies` times. */
static void filter_weights(int cubic, int in, float from, float to, int out, int room, int copies,
                           Span *spans, int32_t *weights)
{
    double scale = (double)(to - from) / out, wide = scale < 1 ? 1 : scale;
    double support = (cubic ? 2.0 : 0.5) * wide, narrow = 1 / wide;
    for (int place = 0; place < out; place++, weights += (int64_t)room * copies) {
        double centre = from + (place + 0.5) * scale, total = 0;
        int first = (int)(centre - support + 0.5), last = (int)(centre + support + 0.5);
        if (first < 0) first = 0;
        if (last > in) last = in;
        for (int pass = 0; pass < 2; pass++) /* the sum, then shares of it */
            for (int i = first; i < last; i++) {
                double at = (i - centre + 0.5) * narrow;
                double weight = cubic ? cubic_filter(at) : box_filter(at);
                if (pass == 0) {
                    total += weight;
                    continue;
                }
                if (total != 0) weight /= total;
                weight *= 1 << WEIGHT_BITS;
                for (int copy = 0; copy < copies; copy++)
                    weights[(i - first) * copies + copy] = (int)(weight + (weight < 0 ? -0.5 : 0.5));
            }
        spans[place] = (Span){ first, last - first };
    }
}

typedef uint32_t __attribute__((may_alias, aligned(1))) Word;

AVX2 static void along_row(const uint8_t *row, const Span *spans, const int32_t *weights, int room,
                           int width, uint8_t *out)
{
    for (int x = 0; x < width; x++, weights += 4 * (int64_t)room) {
        const uint8_t *pixel = row + 4 * (int64_t)spans[x].first;
        __m256i two = _mm256_setzero_si256();
        int i = 0;
        for (; i + 2 <= spans[x].count; i += 2) {
            __m256i values = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(pixel + 4 * i)));
            __m256i factors = _mm256_loadu_si256((const __m256i *)(weights + 4 * i));
            two = _mm256_add_epi32(two, _mm256_mullo_epi32(values, factors));
        }
        __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
        if (i < spans[x].count) {
            __m128i value = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(*(const int32_t *)(pixel + 4 * i)));
            __m128i factor = _mm_loadu_si128((const __m128i *)(weights + 4 * i));
            sum = _mm_add_epi32(sum, _mm_mullo_epi32(value, factor));
        }
        sum = _mm_add_epi32(sum, _mm_set1_epi32(1 << (WEIGHT_BITS - 1)));
        sum = _mm_srai_epi32(sum, WEIGHT_BITS);
        sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum);
        *(int32_t *)(out + 4 * (int64_t)x) = _mm_cvtsi128_si32(sum);
    }
}

/* One row of `stride` bytes, a multiple of 32, from `count` rows that lie that far apart. */
AVX2 static void along_columns(const uint8_t *rows, int count, const int32_t *weights,
                               int64_t stride, uint8_t *out)
{
    for (int64_t at = 0; at < stride; at += 32) {
        __m256i sum[4];
        for (int j = 0; j < 4; j++) sum[j] = _mm256_set1_epi32(1 << (WEIGHT_BITS - 1));
        for (int i = 0; i < count; i++) {
            const uint8_t *own = rows + i * stride + at;
            __m256i factor = _mm256_set1_epi32(weights[i]);
            for (int j = 0; j < 4; j++) {
                __m128i bytes = _mm_loadl_epi64((const __m128i *)(own + 8 * j));
                sum[j] = _mm256_add_epi32(
                    sum[j], _mm256_mullo_epi32(_mm256_cvtepu8_epi32(bytes), factor));
            }
        }
        for (int j = 0; j < 4; j++) {
            __m256i whole = _mm256_srai_epi32(sum[j], WEIGHT_BITS);
            __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole),
                                            _mm256_extracti128_si256(whole, 1));
            _mm_storel_epi64((__m128i *)(out + at + 8 * j), _mm_packus_epi16(words, words));
        }
    }
}

/* The part `box` (left, top, right, bottom) of a picture as out_width x out_height pixels of 3 bytes.
   Scratch: spans of out_width + out_height; weights of 4 * out_width * room_x + out_height * room_y;
   rows of (height + 1) * stride bytes, stride the least multiple of 32 from 4 * out_width on. room:
   2 * ceil(support * scale) + 1. Needs level 1. */
EXPORT void lookalike_resample(const uint8_t *pixels, int width, int height,
                              const float *box, int cubic, int out_width, int out_height,
                              int room_x, int room_y, Span *spans, int32_t *weights, uint8_t *rows,
                              uint8_t *out)
{
    Span *across = spans, *down = spans + out_width;
    int32_t *down_weights = weights + 4 * (int64_t)out_width * room_x;
    filter_weights(cubic, width, box[0], box[2], out_width, room_x, 4, across, weights);
    filter_weights(cubic, height, box[1], box[3], out_height, room_y, 1, down, down_weights);
    int64_t stride = (4 * (int64_t)out_width + 31) / 32 * 32;
    int top = down[0].first, end = down[out_height - 1].first + down[out_height - 1].count;
    uint8_t *done = rows + (int64_t)height * stride;
    for (int y = top; y < end; y++)
        along_row(pixels + 4 * (int64_t)width * y, across, weights, room_x, out_width,
                  rows + y * stride);
    for (int y = 0; y < out_height; y++, down_weights += room_y) {
        along_columns(rows + down[y].first * stride, down[y].count, down_weights, stride, done);
        int whole = out_width - (y + 1 == out_height); /* all but the last take 4 bytes, for now */
        for (int x = 0; x < whole; x++) *(Word *)(out + 3 * (int64_t)x) = *(Word *)(done + 4 * x);
        for (int x = whole; x < out_width; x++)
            for (int channel = 0; channel < 3; channel++) out[3 * x + channel] = done[4 * x + channel];
        out += 3 * (int64_t)out_width;
    }
}
#endif

/* ---- colour histograms ------------------------------------------------------------------------ */

/* Count pixels per bin of 16 levels a channel; a pixel has `step` bytes and begins with R, G, B. */
EXPORT void lookalike_count_bins(const uint8_t *pixels, int64_t n, int step, uint32_t *counts)
{
    for (int64_t i = 0; i < n; i++, pixels += step)
        counts[(pixels[0] >> 4) << 8 | (pixels[1] >> 4) << 4 | pixels[2] >> 4]++;
}

enum { CORRELATION, CHI_SQUARE, INTERSECTION, BHATTACHARYYA };

/* Sums of one row that its score is made of. `table` has a float per bin: the query's share
   (correlation, intersection), one by it or 0 (chi-square), or its root (Bhattacharyya). */
typedef struct { float first, second, total; } Sums;

static Sums row_sums_plain(int metric, const uint16_t *bins, const uint16_t *counts, int64_t n,
                           const float *table)
{
    uint32_t total = 0;
    float first = 0, second = 0;
    for (int64_t i = 0; i < n; i++) total += counts[i];
    for (int64_t i = 0; i < n; i++) {
        float entry = table[bins[i]], count = counts[i];
        switch (metric) {
        case CORRELATION:
            first += entry * count;
            second += count * count;
            break;
        case CHI_SQUARE:
            first += entry > 0 ? count : 0;
            second += entry * count * count;
            break;
        case INTERSECTION: {
            float scaled = entry * (float)total;
            first += scaled < count ? scaled : count;
            break;
        }
        default:
            first += entry * root(count);
        }
    }
    return (Sums){ first, second, (float)total };
}

#if X86
AVX512 static Sums row_sums_avx512(int metric, const uint16_t *bins, const uint16_t *counts,
                                   int64_t n, const float *table)
{
    __m512 first = _mm512_setzero_ps(), second = first;
    __m512i totals = _mm512_setzero_si512();
    float total = 0;
    if (metric == INTERSECTION) {
        for (int64_t i = 0; i < n; i += 16) {
            __mmask16 in = n - i >= 16 ? 0xffff : (__mmask16)((1u << (n - i)) - 1);
            totals = _mm512_add_epi32(
                totals, _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(in, counts + i)));
        }
        total = (float)_mm512_reduce_add_epi32(totals);
    }
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 in = n - i >= 16 ? 0xffff : (__mmask16)((1u << (n - i)) - 1);
        __m512i bin = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(in, bins + i));
        __m512i whole = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(in, counts + i));
        __m512 count = _mm512_cvtepi32_ps(whole);
        __m512 entry = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), in, bin, table, 4);
        switch (metric) {
        case CORRELATION:
            first = _mm512_fmadd_ps(entry, count, first);
            second = _mm512_fmadd_ps(count, count, second);
            totals = _mm512_add_epi32(totals, whole);
            break;
        case CHI_SQUARE: {
            __mmask16 filled = _mm512_cmp_ps_mask(entry, _mm512_setzero_ps(), _CMP_GT_OQ);
            first = _mm512_mask_add_ps(first, filled, first, count);
            second = _mm512_fmadd_ps(_mm512_mul_ps(entry, count), count, second);
            totals = _mm512_add_epi32(totals, whole);
            break;
        }
        case INTERSECTION:
            first = _mm512_add_ps(
                first, _mm512_min_ps(_mm512_mul_ps(entry, _mm512_set1_ps(total)), count));
            break;
        default:
            first = _mm512_fmadd_ps(entry, _mm512_sqrt_ps(count), first);
            totals = _mm512_add_epi32(totals, whole);
        }
    }
    if (metric != INTERSECTION) total = (float)_mm512_reduce_add_epi32(totals);
    return (Sums){ _mm512_reduce_add_ps(first), _mm512_reduce_add_ps(second), total };
}
#endif

/* The three sums, a row each, of rows[0] to rows[n - 1] (NULL: 0 to n - 1) of one segment. A row
   occupies cells ends[row - 1] (0 for the first) to ends[row]. out is (n, 3). */
EXPORT void lookalike_histogram_sums(int level, int metric, const uint16_t *bins,
                                     const uint16_t *counts, const uint64_t *ends,
                                     const int64_t *rows, int64_t n, const float *table, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t row = rows ? rows[i] : i;
        uint64_t start = row ? ends[row - 1] : 0;
        int64_t cells = (int64_t)(ends[row] - start);
        Sums sums;
        if (rows && i + 2 < n) {
            int64_t ahead = rows[i + 2];
            uint64_t at = ahead ? ends[ahead - 1] : 0, stop = ends[ahead];
            for (; at < stop; at += 32) {
                __builtin_prefetch(bins + at);
                __builtin_prefetch(counts + at);
            }
        }
#if X86
        if (level >= 2) sums = row_sums_avx512(metric, bins + start, counts + start, cells, table);
        else
#endif
            sums = row_sums_plain(metric, bins + start, counts + start, cells, table);
        out[3 * i] = sums.first;
        out[3 * i + 1] = sums.second;
        out[3 * i + 2] = sums.total;
    }
}

#define BINS 4096
#define PEAKS 8 /* bins of a row that are known by themselves */
#define STEPS 8192 /* of a row's share, in which `rest` is given */

static inline void take_peak(uint16_t *bins, uint16_t *counts, uint16_t bin, uint16_t count)
{
    int at = PEAKS - 1;
    if (count <= counts[at]) return;
    for (; at > 0 && count > counts[at - 1]; at--) {
        bins[at] = bins[at - 1];
        counts[at] = counts[at - 1];
    }
    bins[at] = bin;
    counts[at] = count;
}

/* Coarse pictures of rows of one segment: for each of 64 blocks of 4 x 4 x 4 bins, the root of its
   mass (roots) and its length within the row's length (parts), both of unit length over a row, as
   255ths rounded to the nearest; lengths takes the length of the row's shares, totals the pixels.
   peak_bins and peak_counts take the PEAKS fullest bins, descending, ties by bin; where there are
   fewer, the others are BINS with a count of 0. */
EXPORT void lookalike_coarse(const uint16_t *bins, const uint16_t *counts, const uint64_t *ends,
                             int64_t first, int64_t last, uint8_t *roots, uint8_t *parts,
                             float *lengths, float *totals, uint16_t *peak_bins,
                             uint16_t *peak_counts)
{
    for (int64_t row = first; row < last;
         row++, roots += 64, parts += 64, peak_bins += PEAKS, peak_counts += PEAKS) {
        uint64_t start = row ? ends[row - 1] : 0;
        float mass[64] = { 0 }, squares[64] = { 0 }, total = 0, square = 0;
        for (int j = 0; j < PEAKS; j++) {
            peak_bins[j] = BINS;
            peak_counts[j] = 0;
        }
        for (uint64_t at = start; at < ends[row]; at++) {
            int bin = bins[at];
            take_peak(peak_bins, peak_counts, bins[at], counts[at]);
            int block = (bin >> 10) << 4 | (bin >> 6 & 3) << 2 | (bin >> 2 & 3);
            float count = counts[at];
            mass[block] += count;
            squares[block] += count * count;
        }
        for (int b = 0; b < 64; b++) {
            total += mass[b];
            square += squares[b];
        }
        for (int b = 0; b < 64; b++) {
            roots[b] = (uint8_t)(255.0f * root(mass[b] / total) + 0.5f);
            parts[b] = (uint8_t)(255.0f * root(squares[b] / square) + 0.5f);
        }
        *lengths++ = root(square) / total;
        *totals++ = total;
    }
}

#if X86
AVX512 static void products64_avx512(const uint8_t *codes, int64_t n, const int16_t *query,
                                     int32_t *out)
{
    __m512i a = _mm512_loadu_si512(query), b = _mm512_loadu_si512(query + 32);
    for (int64_t i = 0; i < n; i++, codes += 64) {
        __m512i lo = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)codes));
        __m512i hi = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(codes + 32)));
        __m512i sum = _mm512_dpwssd_epi32(_mm512_madd_epi16(lo, a), hi, b);
        out[i] = _mm512_reduce_add_epi32(sum);
    }
}
#endif

/* out[i] = sum over 64 of codes[i] * query, both below 2^15 / 64 in all. */
EXPORT void lookalike_products64(int level, const uint8_t *codes, int64_t n, const int16_t *query,
                                 int32_t *out)
{
#if X86
    if (level >= 2) {
        products64_avx512(codes, n, query, out);
        return;
    }
#endif
    for (int64_t i = 0; i < n; i++, codes += 64) {
        int32_t sum = 0;
        for (int b = 0; b < 64; b++) sum += codes[b] * query[b];
        out[i] = sum;
    }
}

static inline __attribute__((always_inline)) void least_squares64(const uint8_t *codes, int64_t n,
                                                                  const uint8_t *query, int32_t *out)
{
    for (int64_t i = 0; i < n; i++, codes += 64) {
        int32_t sum = 0;
        for (int b = 0; b < 64; b++) {
            int16_t least = codes[b] < query[b] ? codes[b] : query[b];
            sum += least * least;
        }
        out[i] = sum;
    }
}

#if X86
AVX512 static void least_squares64_avx512(const uint8_t *codes, int64_t n, const uint8_t *query,
                                          int32_t *out)
{
    __m512i own = _mm512_loadu_si512(query), zero = _mm512_setzero_si512();
    for (int64_t i = 0; i < n; i++, codes += 64) {
        __m512i least = _mm512_min_epu8(_mm512_loadu_si512(codes), own);
        __m512i lo = _mm512_unpacklo_epi8(least, zero), hi = _mm512_unpackhi_epi8(least, zero);
        out[i] = _mm512_reduce_add_epi32(
            _mm512_dpwssd_epi32(_mm512_madd_epi16(lo, lo), hi, hi));
    }
}

AVX2 static void least_squares64_avx2(const uint8_t *codes, int64_t n, const uint8_t *query,
                                      int32_t *out)
{
    least_squares64(codes, n, query, out);
}
#endif

/* out[i] = sum over 64 of min(codes[i], query)^2. */
EXPORT void lookalike_least_squares64(int level, const uint8_t *codes, int64_t n,
                                      const uint8_t *query, int32_t *out)
{
#if X86
    if (level >= 2) least_squares64_avx512(codes, n, query, out);
    else if (level == 1) least_squares64_avx2(codes, n, query, out);
    else
#endif
        least_squares64(codes, n, query, out);
}

/* out[i] is at most the chi-square distance of a query from row i, of which the fullest bins are
   known: these add (share - c)^2 / share each, c the row's part of the bin. Every other bin of the
   row has at most the last of them, `most`, and so adds at least max(share - most, 0)^2 / share:
   rest[j] is the sum of that over all bins for most = j / STEPS, and what the known ones have in it
   is taken out again. shares and inverse: BINS + 1 entries, the query's shares and one by them, 0
   for an empty bin; rest: STEPS / PEAKS + 2 entries. Rows from a damaged file give any number, but
   nothing outside the arrays is read. */
static inline __attribute__((always_inline)) void chi_square_least(
    const uint16_t *bins, const uint16_t *counts, const float *totals, int64_t n,
    const float *shares, const float *inverse, const float *rest, float *out)
{
    for (int64_t i = 0; i < n; i++, bins += PEAKS, counts += PEAKS) {
        float scale = 1.0f / totals[i], most = counts[PEAKS - 1] * scale, sums[PEAKS];
        for (int j = 0; j < PEAKS; j++) {
            int bin = bins[j] < BINS ? bins[j] : BINS;
            float share = shares[bin], apart = share - counts[j] * scale;
            float above = share > most ? share - most : 0.0f;
            sums[j] = (apart * apart - above * above) * inverse[bin];
        }
        float step = most * STEPS;
        int last = step >= 0 && step <= STEPS / PEAKS ? (int)step : STEPS / PEAKS;
        float low = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        float high = (sums[4] + sums[5]) + (sums[6] + sums[7]);
        out[i] = low + high + rest[last + 1];
    }
}

#define LEAST_ARGUMENTS                                                                            \
    const uint16_t *bins, const uint16_t *counts, const float *totals, int64_t n,                  \
        const float *shares, const float *inverse, const float *rest, float *out

#if X86
AVX512 static void chi_square_least_avx512(LEAST_ARGUMENTS)
{
    chi_square_least(bins, counts, totals, n, shares, inverse, rest, out);
}

AVX2 static void chi_square_least_avx2(LEAST_ARGUMENTS)
{
    chi_square_least(bins, counts, totals, n, shares, inverse, rest, out);
}
#endif

EXPORT void lookalike_chi_square_least(int level, LEAST_ARGUMENTS)
{
#if X86
    if (level >= 2) chi_square_least_avx512(bins, counts, totals, n, shares, inverse, rest, out);
    else if (level == 1) chi_square_least_avx2(bins, counts, totals, n, shares, inverse, rest, out);
    else
#endif
        chi_square_least(bins, counts, totals, n, shares, inverse, rest, out);
}

/* ---- lists of the nearest -------------------------------------------------------------------

   A row's list has k places, `neighbours` and their Euclidean `distances`, ascending by distance,
   then by number. A free place has -1 and the distance that a newcomer must stay below, infinity or
   less. A distance is summed over the dimensions in their order, so that a pair has the same one
   wherever it is computed, both ways round, and equal points have 0. */

#define LANES 8 /* candidates side by side */
#define ROWS 8 /* lists at a time */
#define TILE 512 /* rows whose points and lists stay in the second cache meanwhile */
#define MOST_DIMS 64

typedef float Lanes __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t Within __attribute__((vector_size(4 * LANES), may_alias));

static inline void take_in(int32_t *neighbours, float *distances, int k, int32_t row, float distance)
{
    int at = k - 1;
    if (!(distance < distances[at] || (distance == distances[at] && row < neighbours[at]))) return;
    for (; at > 0; at--) {
        float above = distances[at - 1];
        if (above < distance || (above == distance && neighbours[at - 1] < row)) break;
        distances[at] = above;
        neighbours[at] = neighbours[at - 1];
    }
    distances[at] = distance;
    neighbours[at] = row;
}

/* Squared distances of one candidate a lane to a list's owner: those that may belong are taken in. */
static inline __attribute__((always_inline)) void take_lanes(
    const Lanes *squares, const int32_t *members, int64_t count, int32_t owner, int k,
    int32_t *neighbours, float *distances)
{
    float last = distances[k - 1];
    float most = last * last * 1.000001f; /* no root that rounds to the last distance is left out */
    Within within = *squares <= most;
    typedef int64_t __attribute__((may_alias)) Two;
    const Two *two = (const Two *)&within;
    if (!(two[0] | two[1] | two[2] | two[3])) return;
    const float *square = (const float *)squares;
    for (int r = 0; r < count; r++)
        if (square[r] <= most && members[r] != owner)
            take_in(neighbours, distances, k, members[r], root(square[r]));
}

/* One tile of a run: every member offered to the list of every row. */
static inline __attribute__((always_inline)) void offer_tile(
    const float *points, int dim, const int32_t *rows, int64_t n, const float *others,
    const int32_t *members, int64_t m, int itself, int k, int32_t *neighbours, float *distances)
{
    Lanes group[MOST_DIMS];
    for (int64_t first = 0; first < m; first += LANES) {
        int64_t count = m - first < LANES ? m - first : LANES;
        for (int r = 0; r < LANES; r++) { /* lanes without a candidate repeat the last */
            const float *other = others + (int64_t)members[first + (r < count ? r : count - 1)] * dim;
            for (int d = 0; d < dim; d++) ((float *)group)[d * LANES + r] = other[d];
        }
        for (int64_t i = 0; i < n; i += ROWS) { /* these share what is read of the group */
            const float *p[ROWS];
            for (int j = 0; j < ROWS; j++)
                p[j] = points + (int64_t)rows[i + j < n ? i + j : n - 1] * dim;
            Lanes sums[ROWS], zero = { 0 };
            for (int j = 0; j < ROWS; j++) sums[j] = zero;
            for (int d = 0; d < dim; d++)
#pragma GCC unroll 8
                for (int j = 0; j < ROWS; j++) {
                    Lanes apart = group[d] - p[j][d];
                    sums[j] += apart * apart;
                }
            for (int j = 0; j < ROWS && i + j < n; j++) {
                int64_t row = rows[i + j];
                take_lanes(&sums[j], members + first, count,
                           itself ? -1 : (int32_t)row, k, neighbours + row * k,
                           distances + row * k);
            }
        }
    }
}

#define OFFER_ALL                                                                                  \
    for (int64_t j = 0, row = 0, member = 0; j < runs; member = member_ends[j++])                  \
        for (; row < row_ends[j]; row += TILE < row_ends[j] - row ? TILE : row_ends[j] - row)      \
            offer_tile(points, dim, rows + row, TILE < row_ends[j] - row ? TILE : row_ends[j] - row,\
                      others, members + member, member_ends[j] - member, itself, k, neighbours,    \
                      distances);

#define OFFER_ARGUMENTS                                                                            \
    const float *points, int dim, const int32_t *rows, const int64_t *row_ends,                    \
    const float *others, const int32_t *members, const int64_t *member_ends, int64_t runs,         \
    int itself, int k, int32_t *neighbours, float *distances

#define OFFERED                                                                                    \
    points, dim, rows, row_ends, others, members, member_ends, runs, itself, k, neighbours, distances

#if X86
AVX512 static void offer_all_avx512(OFFER_ARGUMENTS) { OFFER_ALL }
AVX2 static void offer_all_avx2(OFFER_ARGUMENTS) { OFFER_ALL }
#endif
static void offer_all_plain(OFFER_ARGUMENTS) { OFFER_ALL }

/* Run j offers members[member_ends[j - 1]] to members[member_ends[j] - 1], rows of `others`, to the
   lists of the rows of `points` that `rows` and row_ends name likewise; not a row to itself, unless
   `itself`. dim is at most 64. */
EXPORT void lookalike_offer(int level, OFFER_ARGUMENTS)
{
#if X86
    if (level >= 2) offer_all_avx512(OFFERED);
    else if (level == 1) offer_all_avx2(OFFERED);
    else
#endif
        offer_all_plain(OFFERED);
}

/* ---- laying pictures over each other ---------------------------------------------------------

   Pictures are squares of up to 64 pixels each way, whose sides are multiples of 16. A point of the
   second lies at matrix * (point - 0.5) + 0.5 + shift in the first, the square being 1 wide. Sums
   are taken in 16 lanes, which the compiler keeps in vectors: the bodies are plain C, compiled once
   for each level. */

#define WIDE 16
#define MOST_POINTS 4096
#define MOST_REACH 7
#define FAINTEST 2.0f /* grey levels; align.FAINTEST */
#define ALIKE 0.5f    /* deviations; align.ALIKE */
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    float seen[MOST_POINTS], inside[MOST_POINTS], weight[MOST_POINTS];
    float own[MOST_POINTS], aim[MOST_POINTS], spare[MOST_POINTS];
} Laid;

typedef struct {
    float x[MOST_POINTS], y[MOST_POINTS]; /* of pixels' middles, less 0.5 */
    int side, stride, count;              /* count = (side / stride)^2 */
} Grid;

static float larger(float one, float two) { return one > two ? one : two; }

static float size_of(float value) { return value < 0 ? -value : value; }

INLINE float total_of(const float *lanes)
{
    double sum = 0;
    for (int j = 0; j < WIDE; j++) sum += (double)lanes[j];
    return (float)sum;
}

INLINE float sum_of(const float *values, int n)
{
    float sum[WIDE] = {0};
    for (int i = 0; i < n; i += WIDE)
        for (int j = 0; j < WIDE; j++) sum[j] += values[i + j];
    return total_of(sum);
}

INLINE float sum_of_two(const float *one, const float *two, int n)
{
    float sum[WIDE] = {0};
    for (int i = 0; i < n; i += WIDE)
        for (int j = 0; j < WIDE; j++) sum[j] += one[i + j] * two[i + j];
    return total_of(sum);
}

INLINE float sum_of_three(const float *one, const float *two, const float *three, int n)
{
    float sum[WIDE] = {0};
    for (int i = 0; i < n; i += WIDE)
        for (int j = 0; j < WIDE; j++) sum[j] += one[i + j] * two[i + j] * three[i + j];
    return total_of(sum);
}

INLINE void fill_grid(Grid *grid, int side, int stride)
{
    int n = 0;
    for (int row = stride / 2; row < side; row += stride)
        for (int column = stride / 2; column < side; column += stride, n++) {
            grid->x[n] = ((float)column + 0.5f) / (float)side - 0.5f;
            grid->y[n] = ((float)row + 0.5f) / (float)side - 0.5f;
        }
    grid->side = side;
    grid->stride = stride;
    grid->count = n;
}

/* The image where points of the grid lie, bilinear; 1 or 0 for what is inside and what is not. */
INLINE void sample(const float *restrict image, const Grid *restrict grid,
                   const float *restrict matrix, const float *restrict shift,
                   float *restrict seen, float *restrict inside)
{
    const int side = grid->side;
    const float wide = (float)side, end = wide - 0.5f, last = wide - 1.001f;
    const float xx = matrix[0], xy = matrix[1], yx = matrix[2], yy = matrix[3];
    const float across = shift[0] + 0.5f, down = shift[1] + 0.5f;
    for (int i = 0; i < grid->count; i++) {
        float x = (grid->x[i] * xx + grid->y[i] * xy + across) * wide - 0.5f;
        float y = (grid->x[i] * yx + grid->y[i] * yy + down) * wide - 0.5f;
        inside[i] = (x > -0.5f) & (x < end) & (y > -0.5f) & (y < end) ? 1.0f : 0.0f;
        x = x > 0 ? x : 0; /* not a number becomes 0, too */
        y = y > 0 ? y : 0;
        x = x < last ? x : last;
        y = y < last ? y : last;
        int column = (int)x, row = (int)y, base = row * side + column;
        float right = x - (float)column, low = y - (float)row;
        float upper = image[base] + (image[base + 1] - image[base]) * right;
        float lower = image[base + side]
            + (image[base + side + 1] - image[base + side]) * right;
        seen[i] = upper + (lower - upper) * low;
    }
}

/* Values with weighted mean 0 and deviation 1 where they vary; returns the deviation. */
INLINE float standard(const float *restrict values, const float *restrict weight, int n,
                      float *restrict out)
{
    float total = larger(sum_of(weight, n), 1e-6f);
    float mean = sum_of_two(values, weight, n) / total;
    for (int i = 0; i < n; i++) out[i] = values[i] - mean;
    float deviation = root(sum_of_three(out, out, weight, n) / total);
    float factor = 1 / larger(deviation, FAINTEST);
    for (int i = 0; i < n; i++) out[i] *= factor;
    return deviation;
}

/* Sums of weight * {x x, x y, x, y y, y, 1}. */
INLINE void moments(const float *restrict weight, const Grid *restrict grid, double *restrict out)
{
    float sum[6][WIDE] = {{0}};
    for (int i = 0; i < grid->count; i += WIDE)
        for (int j = 0; j < WIDE; j++) {
            float w = weight[i + j], x = grid->x[i + j], y = grid->y[i + j];
            sum[0][j] += w * x * x;
            sum[1][j] += w * x * y;
            sum[2][j] += w * x;
            sum[3][j] += w * y * y;
            sum[4][j] += w * y;
            sum[5][j] += w;
        }
    for (int k = 0; k < 6; k++) out[k] = (double)total_of(sum[k]);
}

/* Solve matrix * x = right in place by Cholesky's method; the matrix is positive definite. */
static void solve_six(double matrix[6][6], double *right)
{
    for (int i = 0; i < 6; i++)
        for (int j = 0; j <= i; j++) {
            double sum = matrix[i][j];
            for (int k = 0; k < j; k++) sum -= matrix[i][k] * matrix[j][k];
            matrix[i][j] = i == j ? root64(sum > 1e-12 ? sum : 1e-12) : sum / matrix[j][j];
        }
    for (int i = 0; i < 6; i++) {
        for (int k = 0; k < i; k++) right[i] -= matrix[i][k] * right[k];
        right[i] /= matrix[i][i];
    }
    for (int i = 5; i >= 0; i--) {
        for (int k = i + 1; k < 6; k++) right[i] -= matrix[k][i] * right[k];
        right[i] /= matrix[i][i];
    }
}

/* matrix and shift after a step: those of the inverse of (1 + step), applied first. */
static void compose(const double *step, float *matrix, float *shift)
{
    double limited[6];
    for (int k = 0; k < 6; k++)
        limited[k] = step[k] > 0.15 ? 0.15 : step[k] < -0.15 ? -0.15 : step[k];
    double a = 1 + limited[0], b = limited[1], c = limited[3], d = 1 + limited[4];
    double by = 1 / (a * d - b * c);
    double moved[4] = {d * by, -b * by, -c * by, a * by};
    double out[4];
    for (int row = 0; row < 2; row++)
        for (int column = 0; column < 2; column++)
            out[2 * row + column] = (double)matrix[2 * row] * moved[column]
                + (double)matrix[2 * row + 1] * moved[2 + column];
    for (int row = 0; row < 2; row++)
        shift[row] = (float)((double)shift[row] - out[2 * row] * limited[2]
                             - out[2 * row + 1] * limited[5]);
    for (int k = 0; k < 4; k++) matrix[k] = (float)out[k];
}

/* The picture at the grid's points, and its slopes there across and down, by sides. */
INLINE void slopes_of(const float *image, const Grid *grid, float *target, float *across,
                      float *down)
{
    const int side = grid->side, stride = grid->stride;
    int n = 0;
    for (int row = stride / 2; row < side; row += stride) {
        int above = row ? row - 1 : 0, below = row + 1 < side ? row + 1 : row;
        for (int column = stride / 2; column < side; column += stride, n++) {
            int left = column ? column - 1 : 0, right = column + 1 < side ? column + 1 : column;
            const float *line = image + row * side;
            target[n] = line[column];
            across[n] = (line[right] - line[left]) / (float)(right - left) * (float)side;
            down[n] = (image[below * side + column] - image[above * side + column])
                / (float)(below - above) * (float)side;
        }
    }
}

typedef struct { float target[MOST_POINTS], across[MOST_POINTS], down[MOST_POINTS]; } Slopes;

/* One step of Gauss and Newton, weighted by how well each pixel fits. */
INLINE void step_once(const float *first, const Grid *grid, const Slopes *slopes, Laid *laid,
                      float *matrix, float *shift)
{
    const int n = grid->count;
    sample(first, grid, matrix, shift, laid->seen, laid->inside);
    for (int i = 0; i < n; i++) laid->weight[i] *= laid->inside[i];
    standard(laid->seen, laid->weight, n, laid->own);
    float by = 1 / larger(standard(slopes->target, laid->weight, n, laid->aim), FAINTEST);
    float *apart = laid->own, *part = laid->spare;
    for (int i = 0; i < n; i++) {
        apart[i] -= laid->aim[i];
        float share = apart[i] * (1 / ALIKE);
        laid->weight[i] = laid->inside[i] / (1 + share * share);
    }
    double sums[5][6];
    const float *of[3][2] = {{slopes->across, slopes->across}, {slopes->across, slopes->down},
                             {slopes->down, slopes->down}};
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < n; i++) part[i] = laid->weight[i] * of[k][0][i] * of[k][1][i] * by * by;
        moments(part, grid, sums[k]);
    }
    for (int k = 0; k < 2; k++) {
        const float *slope = k ? slopes->down : slopes->across;
        for (int i = 0; i < n; i++) part[i] = laid->weight[i] * slope[i] * apart[i] * by;
        moments(part, grid, sums[3 + k]);
    }
    static const int at[3][3] = {{0, 1, 2}, {1, 3, 4}, {2, 4, 5}};
    double hessian[6][6], right[6], trace = 0;
    for (int i = 0; i < 6; i++) {
        right[i] = sums[3 + i / 3][at[2][i % 3]];
        for (int j = 0; j < 6; j++) hessian[i][j] = sums[i / 3 + j / 3][at[i % 3][j % 3]];
        trace += hessian[i][i];
    }
    for (int i = 0; i < 6; i++) hessian[i][i] += 1e-3 * (trace + 1) / 6;
    solve_six(hessian, right);
    compose(right, matrix, shift);
}

INLINE void refine_all(const float *images, int side, const int64_t *first, const int64_t *second,
                       int64_t count, int steps, int stride, float *matrix, float *shift)
{
    Grid grid;
    Slopes slopes;
    Laid laid;
    fill_grid(&grid, side, stride);
    for (int64_t pair = 0; pair < count; pair++) {
        slopes_of(images + second[pair] * side * side, &grid, slopes.target, slopes.across,
                  slopes.down);
        for (int i = 0; i < grid.count; i++) laid.weight[i] = 1;
        for (int step = 0; step < steps; step++)
            step_once(images + first[pair] * side * side, &grid, &slopes, &laid,
                      matrix + 4 * pair, shift + 2 * pair);
    }
}

/* The image less the mean of 2 * reach + 1 squared pixels around each, mirrored at its ends. */
INLINE void without_local_mean(const float *restrict image, int side, int reach,
                               float *restrict out, float *restrict sums)
{
    float row_[64 + 2 * MOST_REACH];
    const float by = 1 / (float)((2 * reach + 1) * (2 * reach + 1));
    for (int row = 0; row < side; row++) {
        float *sum = sums + row * side;
        for (int x = 0; x < side; x++) sum[x] = 0;
        for (int step = -reach; step <= reach; step++) {
            int other = row + step < 0 ? -row - step : row + step;
            if (other >= side) other = 2 * (side - 1) - other;
            for (int x = 0; x < side; x++) sum[x] += image[other * side + x];
        }
    }
    for (int row = 0; row < side; row++) {
        const float *sum = sums + row * side;
        for (int x = 0; x < side; x++) row_[reach + x] = sum[x];
        for (int step = 1; step <= reach; step++) {
            row_[reach - step] = sum[step];
            row_[reach + side - 1 + step] = sum[side - 1 - step];
        }
        float mean[64] = {0};
        for (int step = 0; step <= 2 * reach; step++)
            for (int x = 0; x < side; x++) mean[x] += row_[step + x];
        for (int x = 0; x < side; x++)
            out[row * side + x] = image[row * side + x] - mean[x] * by;
    }
}

INLINE float correlation_of(const float *one, const float *two, const float *weight, int n)
{
    float product = sum_of_three(one, two, weight, n);
    float size = root(sum_of_three(one, one, weight, n) * sum_of_three(two, two, weight, n));
    return product / larger(size, 1e-3f);
}

/* Share of what varies, by how much it does, that differs little. */
INLINE float share_alike(const float *local, const float *wanted, const Laid *laid, int n)
{
    float alike[WIDE] = {0}, all[WIDE] = {0};
    for (int i = 0; i < n; i += WIDE)
        for (int j = 0; j < WIDE; j++) {
            float one = size_of(local[i + j]), two = size_of(wanted[i + j]);
            float varies = larger(one, two) * laid->inside[i + j];
            float apart = size_of(laid->own[i + j] - laid->aim[i + j]);
            alike[j] += apart < ALIKE ? varies : 0;
            all[j] += varies;
        }
    return total_of(alike) / larger(total_of(all), 1e-3f);
}

INLINE float largest_block(const float *apart, int side)
{
    float most = 0;
    for (int row = 0; row < side; row += 4)
        for (int column = 0; column < side; column += 4) {
            float sum = 0;
            for (int y = 0; y < 4; y++)
                for (int x = 0; x < 4; x++) sum += apart[(row + y) * side + column + x];
            most = larger(most, size_of(sum) / 16);
        }
    return most;
}

/* The nine figures of align.Agreement, in their order. */
INLINE void agree(const float *first, const float *second, const Grid *grid, const float *matrix,
                  const float *shift, int reach, Laid *laid, Slopes *room, float *out)
{
    const int n = grid->count, side = grid->side;
    float *local = room->target, *wanted = room->across, *shown = room->down;
    sample(first, grid, matrix, shift, laid->seen, laid->inside);
    for (int i = 0; i < n; i++) laid->weight[i] = laid->inside[i];
    float spread = 0, deviation = 0;
    for (int round = 0; round < 2; round++) {
        spread = standard(laid->seen, laid->weight, n, laid->own);
        deviation = standard(second, laid->weight, n, laid->aim);
        for (int i = 0; i < n; i++)
            laid->weight[i] =
                size_of(laid->own[i] - laid->aim[i]) < 2 * ALIKE ? laid->inside[i] : 0;
    }
    float weights = sum_of(laid->weight, n), held = larger(sum_of(laid->inside, n), 1);
    for (int i = 0; i < n; i++) shown[i] = laid->inside[i] > 0 ? laid->own[i] : laid->aim[i];
    without_local_mean(shown, side, reach, local, laid->spare);
    without_local_mean(laid->aim, side, reach, wanted, laid->spare);
    out[0] = correlation_of(local, wanted, laid->weight, n);
    out[1] = correlation_of(local, wanted, laid->inside, n);
    out[2] = share_alike(local, wanted, laid, n);
    out[3] = correlation_of(laid->own, laid->aim, laid->weight, n);
    out[4] = weights / held;
    out[5] = held / (float)(side * side);
    out[6] = spread / larger(deviation, FAINTEST);
    float levels = larger(deviation, FAINTEST);
    for (int i = 0; i < n; i++)
        laid->spare[i] = (laid->own[i] - laid->aim[i]) * laid->inside[i] * levels;
    out[8] = largest_block(laid->spare, side);
    for (int i = 0; i < n; i++) laid->spare[i] = laid->seen[i] - second[i];
    out[7] = sum_of_two(laid->spare, laid->weight, n) / larger(weights, 1);
}

INLINE void agree_all(const float *images, int side, const int64_t *first, const int64_t *second,
                      int64_t count, const float *matrix, const float *shift, int reach, float *out)
{
    Grid grid;
    Slopes room;
    Laid laid;
    fill_grid(&grid, side, 1);
    for (int64_t pair = 0; pair < count; pair++)
        agree(images + first[pair] * side * side, images + second[pair] * side * side, &grid,
              matrix + 4 * pair, shift + 2 * pair, reach, &laid, &room, out + 9 * pair);
}

/* Mean differences of planes (n, channels, side, side), those of the second times their gain. */
INLINE void apart_all(const float *planes, int channels, int side, const int64_t *first,
                      const int64_t *second, int64_t count, const float *matrix,
                      const float *shift, const float *gain, float *out)
{
    Grid grid;
    float seen[MOST_POINTS], inside[MOST_POINTS];
    const int n = side * side;
    fill_grid(&grid, side, 1);
    for (int64_t pair = 0; pair < count; pair++) {
        float total = 0;
        for (int channel = 0; channel < channels; channel++) {
            const float *own = planes + (second[pair] * channels + channel) * n;
            sample(planes + (first[pair] * channels + channel) * n, &grid, matrix + 4 * pair,
                   shift + 2 * pair, seen, inside);
            for (int i = 0; i < n; i++) seen[i] = size_of(seen[i] - own[i] * gain[pair]);
            total += sum_of_two(seen, inside, n) / larger(sum_of(inside, n), 1);
        }
        out[pair] = total / (float)channels;
    }
}

#define PAIRS const int64_t *first, const int64_t *second, int64_t count
#define BY_LEVEL(name, parameters, arguments)                                                     \
    static void name##_plain parameters { name arguments; }                                       \
    ON_X86(AVX2 static void name##_avx2 parameters { name arguments; })                           \
    ON_X86(AVX512 static void name##_avx512 parameters { name arguments; })
#if X86
#define ON_X86(code) code
#define CALL(level, name, arguments)                                                              \
    (level >= 2 ? name##_avx512 arguments : level == 1 ? name##_avx2 arguments                    \
                                                       : name##_plain arguments)
#else
#define ON_X86(code)
#define CALL(level, name, arguments) ((void)level, name##_plain arguments)
#endif

BY_LEVEL(refine_all,
         (const float *images, int side, PAIRS, int steps, int stride, float *matrix, float *shift),
         (images, side, first, second, count, steps, stride, matrix, shift))
BY_LEVEL(agree_all,
         (const float *images, int side, PAIRS, const float *matrix, const float *shift, int reach,
          float *out),
         (images, side, first, second, count, matrix, shift, reach, out))
BY_LEVEL(apart_all,
         (const float *planes, int channels, int side, PAIRS, const float *matrix,
          const float *shift, const float *gain, float *out),
         (planes, channels, side, first, second, count, matrix, shift, gain, out))

/* Improve matrix (count, 4) and shift (count, 2) of pairs of images (n, side, side) in place. */
EXPORT void lookalike_refine_alignments(int level, const float *images, int side, PAIRS, int steps,
                                        int stride, float *matrix, float *shift)
{
    CALL(level, refine_all, (images, side, first, second, count, steps, stride, matrix, shift));
}

/* Nine figures of each pair, out (count, 9). */
EXPORT void lookalike_agreement(int level, const float *images, int side, PAIRS,
                                const float *matrix, const float *shift, int reach, float *out)
{
    CALL(level, agree_all, (images, side, first, second, count, matrix, shift, reach, out));
}

EXPORT void lookalike_planes_apart(int level, const float *planes, int channels, int side, PAIRS,
                                   const float *matrix, const float *shift, const float *gain,
                                   float *out)
{
    CALL(level, apart_all,
         (planes, channels, side, first, second, count, matrix, shift, gain, out));
}

/* ---- looking for the middle of one picture in another -----------------------------------------

   The middle of the second, 12 pixels wide, and its mirror image are compared with every window of
   12 x 12 pixels of the first at several sizes. Pixels are taken in 1/64 and the middle, which has
   mean 0 and length 1, in 1/8192, so that sums of products fit 32 bits; two rows are taken at
   once. */

#define RASTER 32
#define WINDOW 12
#define SIZES 8 /* at most */
#define MOST_WINDOWS 20 /* across or down, a multiple of 4 */
#define PIXEL_STEPS 64.0f
#define MIDDLE_STEPS 8192.0f
#define AHEAD 4 /* rows of windows that are taken together */

typedef struct {
    int sizes;
    const int32_t *sides;      /* of the first at each size, 12 to 28 */
    const float *scalers;      /* (sum of sides, 32) */
    const float *middle;       /* (12, 32) */
} Ways;

/* The first picture at all sizes: rows interleaved with those below, and what makes scores. */
typedef struct {
    int32_t rows[SIZES][RASTER][RASTER];
    float factor[SIZES][MOST_WINDOWS][RASTER]; /* not a number where there is no window */
} Windows;

typedef void Dots(const int32_t *rows, const int32_t *middles, int32_t *sums);

/* Sums of 4 rows of 16 windows for 2 middles (2, 6, 12): int32 (2, 4, 16). */
static void dots_plain(const int32_t *rows, const int32_t *middles, int32_t *sums)
{
    for (int i = 0; i < 2 * AHEAD * WIDE; i++) sums[i] = 0;
    for (int m = 0; m < 2; m++)
        for (int k = 0; k < WINDOW / 2; k++)
            for (int x = 0; x < WINDOW; x++) {
                int32_t both = middles[(m * WINDOW / 2 + k) * WINDOW + x];
                for (int r = 0; r < AHEAD; r++)
                    for (int j = 0; j < WIDE; j++) {
                        int32_t pixels = rows[(r + 2 * k) * RASTER + x + j];
                        sums[(m * AHEAD + r) * WIDE + j] +=
                            (int16_t)pixels * (int16_t)both + (pixels >> 16) * (both >> 16);
                    }
            }
}

#if X86
AVX2 static void dots_avx2(const int32_t *rows, const int32_t *middles, int32_t *sums)
{
    for (int half = 0; half < 2; half++) {
        __m256i sum[2][AHEAD];
        for (int m = 0; m < 2; m++)
            for (int r = 0; r < AHEAD; r++) sum[m][r] = _mm256_setzero_si256();
        for (int k = 0; k < WINDOW / 2; k++)
            for (int x = 0; x < WINDOW; x++)
                for (int r = 0; r < AHEAD; r++) {
                    __m256i pixels = _mm256_loadu_si256(
                        (const void *)(rows + (r + 2 * k) * RASTER + x + 8 * half));
                    for (int m = 0; m < 2; m++)
                        sum[m][r] = _mm256_add_epi32(
                            sum[m][r],
                            _mm256_madd_epi16(pixels, _mm256_set1_epi32(middles[
                                (m * WINDOW / 2 + k) * WINDOW + x])));
                }
        for (int m = 0; m < 2; m++)
            for (int r = 0; r < AHEAD; r++)
                _mm256_storeu_si256((void *)(sums + (m * AHEAD + r) * WIDE + 8 * half), sum[m][r]);
    }
}

AVX512 static void dots_avx512(const int32_t *rows, const int32_t *middles, int32_t *sums)
{
    __m512i sum[2][AHEAD];
    for (int m = 0; m < 2; m++)
        for (int r = 0; r < AHEAD; r++) sum[m][r] = _mm512_setzero_si512();
    for (int k = 0; k < WINDOW / 2; k++)
        for (int x = 0; x < WINDOW; x++)
            for (int r = 0; r < AHEAD; r++) {
                __m512i pixels =
                    _mm512_loadu_si512((const void *)(rows + (r + 2 * k) * RASTER + x));
                for (int m = 0; m < 2; m++)
                    sum[m][r] = _mm512_dpwssd_epi32(
                        sum[m][r], pixels,
                        _mm512_set1_epi32(middles[(m * WINDOW / 2 + k) * WINDOW + x]));
            }
    for (int m = 0; m < 2; m++)
        for (int r = 0; r < AHEAD; r++)
            _mm512_storeu_si512((void *)(sums + (m * AHEAD + r) * WIDE), sum[m][r]);
}
#endif

INLINE int32_t rounded(float value) { return (int32_t)(value < 0 ? value - 0.5f : value + 0.5f); }

INLINE int32_t interleaved(int32_t low, int32_t high)
{
    return (int32_t)((uint32_t)(low & 0xffff) | (uint32_t)high << 16);
}

INLINE void flatten(const uint8_t *raster, int reach, float *out)
{
    float image[RASTER * RASTER], sums[RASTER * RASTER];
    for (int i = 0; i < RASTER * RASTER; i++) image[i] = (float)raster[i];
    without_local_mean(image, RASTER, reach, out, sums);
}

/* matrix (m, 32) * image (32, 32) * matrix^T, in steps; the matrix is mostly 0. */
INLINE void scale(const float *matrix, int m, const float *image, float *out)
{
    float down[RASTER * RASTER] = {0};
    for (int i = 0; i < m; i++)
        for (int k = 0; k < RASTER; k++) {
            float weight = matrix[i * RASTER + k];
            if (weight == 0) continue;
            for (int x = 0; x < RASTER; x++) down[i * RASTER + x] += weight * image[k * RASTER + x];
        }
    for (int i = 0; i < m; i++)
        for (int j = 0; j < m; j++) out[i * m + j] = 0;
    for (int j = 0; j < m; j++)
        for (int k = 0; k < RASTER; k++) {
            float weight = matrix[j * RASTER + k];
            if (weight == 0) continue;
            for (int i = 0; i < m; i++) out[i * m + j] += weight * down[i * RASTER + k];
        }
}

/* One size of the first picture, int32 in steps (side, side), made ready. */
INLINE void prepare_size(const int32_t *pixels, int side, int32_t rows[RASTER][RASTER],
                         float factor[MOST_WINDOWS][RASTER])
{
    int64_t sum[29][29] = {{0}}, squares[29][29] = {{0}};
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            int64_t own = pixels[y * side + x];
            sum[y + 1][x + 1] = own + sum[y][x + 1] + sum[y + 1][x] - sum[y][x];
            squares[y + 1][x + 1] =
                own * own + squares[y][x + 1] + squares[y + 1][x] - squares[y][x];
            int32_t below = y + 1 < side ? pixels[(y + 1) * side + x] : 0;
            rows[y][x] = interleaved((int32_t)own, below);
        }
    const float faintest = FAINTEST * WINDOW, steps = PIXEL_STEPS * MIDDLE_STEPS;
    for (int y = 0; y + WINDOW <= side; y++)
        for (int x = 0; x + WINDOW <= side; x++) {
            int to_y = y + WINDOW, to_x = x + WINDOW;
            double total = (double)(sum[to_y][to_x] - sum[y][to_x] - sum[to_y][x] + sum[y][x]);
            double square = (double)(squares[to_y][to_x] - squares[y][to_x] - squares[to_y][x]
                                     + squares[y][x]);
            double varies = square - total * total / (WINDOW * WINDOW);
            float length = (float)root64(varies > 0 ? varies : 0) / PIXEL_STEPS;
            factor[y][x] = 1 / (larger(length, faintest) * steps);
        }
}

INLINE void prepare_windows(const uint8_t *raster, const Ways *ways, int reach, Windows *windows)
{
    float flat[RASTER * RASTER], scaled[RASTER * RASTER];
    int32_t pixels[RASTER * RASTER];
    const float *scaler = ways->scalers;
    flatten(raster, reach, flat);
    for (int k = 0; k < ways->sizes; k++) {
        int side = ways->sides[k];
        for (int y = 0; y < RASTER; y++)
            for (int x = 0; x < RASTER; x++) windows->rows[k][y][x] = 0;
        for (int y = 0; y < MOST_WINDOWS; y++)
            for (int x = 0; x < RASTER; x++) windows->factor[k][y][x] = __builtin_nanf("");
        scale(scaler, side, flat, scaled);
        for (int i = 0; i < side * side; i++) pixels[i] = rounded(scaled[i] * PIXEL_STEPS);
        prepare_size(pixels, side, windows->rows[k], windows->factor[k]);
        scaler += side * RASTER;
    }
}

/* The middle of a picture and its mirror image, two rows interleaved: int32 (2, 6, 12). */
INLINE void prepare_middle(const uint8_t *raster, const Ways *ways, int reach, int32_t *out)
{
    const int n = WINDOW * WINDOW;
    float flat[RASTER * RASTER], middle[RASTER * RASTER], mean = 0, square = 0;
    flatten(raster, reach, flat);
    scale(ways->middle, WINDOW, flat, middle);
    for (int i = 0; i < n; i++) mean += middle[i] / (float)n;
    for (int i = 0; i < n; i++) square += (middle[i] - mean) * (middle[i] - mean);
    float by = MIDDLE_STEPS / larger(root(square), FAINTEST * WINDOW);
    for (int k = 0; k < WINDOW / 2; k++)
        for (int x = 0; x < WINDOW; x++) {
            int32_t upper = rounded((middle[2 * k * WINDOW + x] - mean) * by);
            int32_t lower = rounded((middle[(2 * k + 1) * WINDOW + x] - mean) * by);
            out[k * WINDOW + x] = interleaved(upper, lower);
            out[n / 2 + k * WINDOW + WINDOW - 1 - x] = interleaved(upper, lower);
        }
}

typedef struct { float score[2][WIDE]; int32_t window[2][WIDE]; } Finds;

INLINE void keep_better(const int32_t *sums, const float *factor, int32_t window, int m,
                        Finds *finds)
{
    for (int j = 0; j < WIDE; j++) {
        float score = (float)sums[j] * factor[j];
        int better = score > finds->score[m][j];
        finds->score[m][j] = better ? score : finds->score[m][j];
        finds->window[m][j] = better ? window + j : finds->window[m][j];
    }
}

INLINE void find_middle(const Windows *windows, const Ways *ways, const int32_t *middles, Dots *dots,
                        Finds *finds)
{
    int32_t sums[2 * AHEAD * WIDE], number = 0;
    for (int m = 0; m < 2; m++)
        for (int j = 0; j < WIDE; j++) {
            finds->score[m][j] = -2;
            finds->window[m][j] = 0;
        }
    for (int k = 0; k < ways->sizes; k++) {
        int many = ways->sides[k] - WINDOW + 1;
        for (int y = 0; y < many; y += AHEAD)
            for (int x = 0; x < many; x += WIDE) {
                int from = x && x + WIDE > many ? many - WIDE : x;
                dots(&windows->rows[k][y][from], middles, sums);
                for (int m = 0; m < 2; m++)
                    for (int r = 0; r < AHEAD; r++)
                        keep_better(sums + (m * AHEAD + r) * WIDE, &windows->factor[k][y + r][from],
                                    number + (y + r) * many + from, m, finds);
            }
        number += many * many;
    }
}

INLINE void place_all(const uint8_t *rasters, PAIRS, const Ways *ways, int reach, Dots *dots,
                      float *score, int32_t *window, int8_t *mirrored)
{
    Windows windows;
    Finds finds;
    int32_t middles[WINDOW * WINDOW];
    for (int64_t pair = 0; pair < count; pair++) {
        if (!pair || first[pair] != first[pair - 1])
            prepare_windows(rasters + first[pair] * RASTER * RASTER, ways, reach, &windows);
        prepare_middle(rasters + second[pair] * RASTER * RASTER, ways, reach, middles);
        find_middle(&windows, ways, middles, dots, &finds);
        score[pair] = -2;
        for (int m = 0; m < 2; m++)
            for (int j = 0; j < WIDE; j++)
                if (finds.score[m][j] > score[pair]) {
                    score[pair] = finds.score[m][j];
                    window[pair] = finds.window[m][j];
                    mirrored[pair] = (int8_t)m;
                }
    }
}

#define PLACE_PARAMETERS                                                                          \
    (const uint8_t *rasters, PAIRS, const Ways *ways, int reach, float *score, int32_t *window,   \
     int8_t *mirrored)
static void place_plain PLACE_PARAMETERS
{
    place_all(rasters, first, second, count, ways, reach, dots_plain, score, window, mirrored);
}
#if X86
AVX2 static void place_avx2 PLACE_PARAMETERS
{
    place_all(rasters, first, second, count, ways, reach, dots_avx2, score, window, mirrored);
}
AVX512 static void place_avx512 PLACE_PARAMETERS
{
    place_all(rasters, first, second, count, ways, reach, dots_avx512, score, window, mirrored);
}
#endif

/* The best window for the middle of each second picture, or for its mirror image. Pairs with the
   same first come quicker together. Windows are numbered by size, row and column. */
EXPORT void lookalike_place(int level, const uint8_t *rasters, PAIRS, const float *middle,
                            const float *scalers, const int32_t *sides, int sizes, int reach,
                            float *score, int32_t *window, int8_t *mirrored)
{
    const Ways ways = {sizes, sides, scalers, middle};
    CALL(level, place,
         (rasters, first, second, count, &ways, reach, score, window, mirrored));
}
