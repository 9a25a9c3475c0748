// Causal attention with a running softmax. One item is a tile of query rows (tokens × the heads that share a key-value head)
// against the cache of that head, kKeyBlock positions at a time. With few rows (decode) the cache's elements are converted in
// registers; with many rows, a block of keys and values is converted to float32 once and used by every row of the tile.
// Blocks and ranges start at fixed positions, a row ignores positions it may not see, and both ways do the same arithmetic. So
// the result of a row depends neither on the other rows of its tile nor on how threads share the work.

#include "attention_products.inl"
#include "attention_softmax.inl"

namespace {

struct Block {  // kKeyBlock positions from `start` on; the next block lies `ahead` bytes further
  int64_t start, ahead, group_rows, position_rows;
  const uint8_t *keys, *values;
  const half_t *key_scales, *value_scales;  // nullptr: none
};

struct Item {  // one tile of one key-value head
  const AttentionArgs& a;
  const Cache& c;
  const int64_t index;  // of tile and head
  const AttentionTile tile;
  const int64_t kv_head, repeat, rows, width, stride;  // width: of a value; stride: of its sums
  const int64_t oldest, end;                           // the positions its rows see
  const int64_t dims;  // that one product covers: they share scales and come from the same half of a row
  const int64_t group_rows, position_rows;  // of keys, of values, in the cache
  float* queries;                           // scratch: (rows, head_dim)
  float* scores;                            // (rows, kKeyBlock)
  float* keep;                              // (rows,)
  float *keys, *values, *softmaxes;

  Item(const AttentionArgs& args, int64_t index, float* scratch)
      : a(args),
        c(args.cache),
        index(index),
        tile(args.tiles[index / c.kv_heads]),
        kv_head(index % c.kv_heads),
        repeat(args.heads / c.kv_heads),
        rows(tile.count * repeat),
        width(value_dim(c)),
        stride(padded(width)),
        oldest(oldest_position(c, tile)),
        end(tile.position + tile.count),
        dims(c.format == FormatId::q4_0 ? 16
             : has_scales(c.format)     ? kScaleDims
                                        : padded(c.head_dim)),
        group_rows(key_rows(c.format, c.head_dim)),
        position_rows(value_rows(c.format, c.head_dim)) {
    queries = scratch;
    scores = queries + rows * c.head_dim;
    keep = scores + rows * kKeyBlock;
    keys = keep + rows;
    values = keys + kKeyBlock * c.head_dim;
    softmaxes = values + kKeyBlock * stride;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t d = 0; d < c.head_dim; ++d) queries[r * c.head_dim + d] = a.q[place(r) * c.head_dim + d] * a.scale;
  }

  int64_t place(int64_t row) const {  // of a row's head among those of q and y
    return (tile.token + row / repeat) * a.heads + kv_head * repeat + row % repeat;
  }
  Block block_at(int64_t start) const {
    const uint8_t* page = page_at(c, tile.slot, start);
    const uint8_t* next = start + kKeyBlock < end ? page_at(c, tile.slot, start + kKeyBlock) : page;
    const int64_t bytes = cache_row_bytes(c.format);
    const int64_t scales = kv_head * cache_scales(c.format, c.head_dim) * kKeyBlock * int64_t(sizeof(half_t));
    const auto half = [&](int64_t at) { return reinterpret_cast<const half_t*>(page + at + scales); };
    return {start,
            next - page,
            group_rows,
            position_rows,
            page + c.keys + kv_head * (kKeyBlock / kKeyGroup) * group_rows * bytes,
            page + c.values + kv_head * kKeyBlock * position_rows * bytes,
            has_scales(c.format) ? half(c.key_scales) : nullptr,
            has_scales(c.format) ? half(c.latent ? c.key_scales : c.value_scales) : nullptr};
  }

  // The first n positions of a block as float32 in the scratch.
  template <typename E>
  Block widened(const Block& b, int64_t n) const {
    for (int64_t d = 0; d < c.head_dim; d += 16)
      getting<E>(d, [&]<typename H>(H) {
        const auto copy = [](const uint8_t* from, int64_t row, float* to) {
          for (int v = 0; v < kVectors; ++v) store(to + v * kLanes, H::get(from, row, v));
        };
        const int64_t dims = c.head_dim - d < 16 ? c.head_dim - d : 16;
        for (int64_t j = 0; j < divided_up(n, kKeyGroup); ++j)
          for (int64_t i = 0; i < dims; ++i)
            copy(b.keys, j * b.group_rows + key_row<E>(d) + i, keys + (j * c.head_dim + d + i) * kKeyGroup);
        if (c.latent) return;
        for (int64_t j = 0; j < n; ++j) copy(b.values, j * b.position_rows + value_row<E>(d), values + j * stride + d);
      });
    if (c.latent) turn_keys(n);
    return {b.start,
            0,
            c.head_dim,
            stride / 16,
            reinterpret_cast<const uint8_t*>(keys),
            reinterpret_cast<const uint8_t*>(values),
            b.key_scales,
            b.value_scales};
  }

  // The values of a latent layer from the keys in the scratch, 16 positions and dims at a time.
  void turn_keys(int64_t n) const {
    for (int64_t j = 0; j < n; j += kKeyGroup)
      for (int64_t d = 0; d < width; d += 16)
        for (int64_t position = j; position < j + kKeyGroup; ++position)
          for (int64_t i = d; i < d + 16 && i < width; ++i)
            values[position * stride + i] = keys[(j / kKeyGroup * c.head_dim + i) * kKeyGroup + position - j];
  }

  // scores (n, columns) of rows [row, row + n)
  template <typename E>
  void score(const Block& b, int64_t row, int64_t n, int64_t columns) {
    float* s = scores + row * kKeyBlock;
    for (int64_t d = 0; d < c.head_dim; d += dims) {
      const int64_t depth = c.head_dim - d < dims ? c.head_dim - d : dims;
      const half_t* scales = b.key_scales ? b.key_scales + d / kScaleDims * kKeyBlock : nullptr;
      const auto put = [=](int r, int64_t column, Floats sum) {
        float* to = s + r * kKeyBlock + column;
        if (scales) sum *= load_half(scales + column);
        store(to, d ? load(to) + sum : sum);
      };
      getting<E>(d, [&]<typename H>(H) {
        products<H>(n, queries + row * c.head_dim + d, c.head_dim, {b.keys, key_row<E>(d), 1, b.group_rows, b.ahead},
                    columns / kKeyGroup, depth, put);
      });
    }
  }

  // sums of rows [row, row + n) = sums * keep + scores (n, depth) · values
  template <typename E>
  void weigh(const Block& b, int64_t row, int64_t n, int64_t depth, const Softmax& to) {
    const float *weights = scores + row * kKeyBlock, *kept = keep + row;
    float scaled[kRows * kKeyBlock];
    for (int64_t d = 0; d < stride; d += dims) {
      if (b.value_scales && d % kScaleDims == 0) {
        const half_t* scales = b.value_scales + d / kScaleDims * kKeyBlock;
        for (int64_t r = 0; r < n; ++r)
          for (int64_t j = 0; j < depth; j += kLanes)
            store(scaled + r * kKeyBlock + j, load(scores + (row + r) * kKeyBlock + j) * load_half(scales + j));
        weights = scaled;
      }
      float* sums = to.sums + row * stride + d;
      const auto put = [=, this](int r, int64_t column, Floats sum) {
        float* at = sums + r * stride + column;
        store(at, fma(load(at), splat(kept[r]), sum));
      };
      const int64_t groups = (stride - d < dims ? stride - d : dims) / 16;
      getting<E>(d, [&]<typename H>(H) {
        products<H>(n, weights, kKeyBlock, {b.values, value_row<E>(d), b.position_rows, 1, b.ahead}, groups, depth,
                    put);
      });
    }
  }

  template <typename E>
  void attend(const Block& b, const Softmax& to) {
    const int64_t most = divided_up(rows, divided_up(rows, kRows));  // 7 rows go as 4 and 3, not 6 and 1
    for (int64_t row = 0; row < rows; row += most) {
      const int64_t n = rows - row < most ? rows - row : most;
      const int64_t reach = tile.position + (row + n - 1) / repeat + 1 - b.start;  // columns the last row may see
      if (reach <= 0) continue;
      const int64_t depth = reach < kKeyBlock ? reach : kKeyBlock;
      score<E>(b, row, n, padded(depth));
      for (int64_t r = row; r < row + n; ++r) {
        const int64_t own = tile.position + r / repeat - b.start, last = own + 1 < kKeyBlock ? own + 1 : kKeyBlock;
        const int64_t first = c.window && own - c.window + 1 > 0 ? own - c.window + 1 : 0;
        soften(scores + r * kKeyBlock, first, last, a.softcap, to.maxima[r], to.totals[r], keep[r]);
      }
      weigh<E>(b, row, n, depth, to);
    }
  }

  template <typename E>
  void attend_range(int64_t range, const Softmax& to) {  // `range` counts from the one with the oldest position
    to.clear();
    const int64_t length = range_positions(c), begin = (oldest / length + range) * length,
                  last = begin + length < end ? begin + length : end;
    for (int64_t start = begin > oldest ? begin : oldest / kKeyBlock * kKeyBlock; start < last; start += kKeyBlock) {
      const Block b = block_at(start);
      if (rows <= 2 * kRows && !c.latent) {  // converting twice costs no more than once, and storing and loading
        attend<E>(b, to);
        continue;
      }
      attend<Float32>(widened<E>(b, last - start < kKeyBlock ? last - start : kKeyBlock), to);
    }
  }

  void attend_range(int64_t range, const Softmax& to) {
    switch (c.format) {
      case FormatId::bf16: return attend_range<BFloat16>(range, to);
      case FormatId::q8_0: return attend_range<Codes8>(range, to);
      case FormatId::q4_0: return attend_range<Codes4>(range, to);
      default: return attend_range<Float16>(range, to);
    }
  }

  void finish(const Softmax& s) {
    for (int64_t r = 0; r < rows; ++r) {
      float keep = 1, total = s.totals[r];
      if (a.sinks) {
        const float sink = a.sinks[kv_head * repeat + r % repeat], now = sink > s.maxima[r] ? sink : s.maxima[r];
        keep = exp(splat(s.maxima[r] - now))[0];
        total = total * keep + exp(splat(sink - now))[0];
      }
      for (int64_t d = 0; d < width; ++d) a.y[place(r) * width + d] = s.sums[r * stride + d] * keep / total;
    }
  }

  void run() {
    const int64_t floats = softmax_floats(rows, c.head_dim);
    Softmax all(softmaxes, rows, stride), next(softmaxes + floats, rows, stride);
    attend_range(0, all);
    for (int64_t i = 1; i < ranges(c, tile); ++i) {
      attend_range(i, next);
      all.merge(next);
    }
    finish(all);
  }

  void run(int64_t range) {  // one range; the last thread to finish merges all of them
    const int64_t rows_before = tile.token * a.heads + kv_head * rows;
    const auto partial = [&](int64_t i) {
      return Softmax(a.partials + softmax_floats(rows_before * a.split + i * rows, c.head_dim), rows, stride);
    };
    if (range < ranges(c, tile)) attend_range(range, partial(range));
    if (__atomic_add_fetch(&a.finished[index], 1, __ATOMIC_ACQ_REL) < a.split) return;
    a.finished[index] = 0;
    Softmax all = partial(0);
    for (int64_t i = 1; i < ranges(c, tile); ++i) all.merge(partial(i));
    finish(all);
  }
};

}  // namespace

static void attention(const AttentionArgs& args, int64_t begin, int64_t end, float* scratch) {
  for (int64_t i = begin; i < end; ++i) {
    Item item(args, i / args.split, scratch);
    args.split == 1 ? item.run() : item.run(i % args.split);
  }
}
