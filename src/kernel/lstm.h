/* The layer of long short-term memory of the vectorized backends (struct backend: lstm_fwd, lstm_bwd), by
 * the products of one of them. What the gates get from the token before is one product for all records
 * of the batch; its weights are packed once for all tokens. */
#ifndef ECGFM_KERNEL_LSTM_H
#define ECGFM_KERNEL_LSTM_H

#include "kernel/kernel.h"

/* products: the backend whose linear layers are used. */
void cpu_lstm_fwd(const struct backend *products, void *y, void *gates, void *cells, const void *x,
                  const void *w, int64_t B, int64_t T, int64_t H);
/* Needs memory for x once more where dx is added to or NULL. */
void cpu_lstm_bwd(const struct backend *products, void *dx, void *dw, const void *dy, const void *y,
                  const void *gates, const void *cells, const void *w, int64_t B, int64_t T,
                  int64_t H, int add_x, int add_w);

#endif
