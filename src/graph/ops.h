/* Recording calls, one per op: they put one node on the tape and return its output. Shapes are in
 * base/shapes.h letters; [..,K] means any leading axes. Gradients flow into every real input unless
 * said. All abort on a wrong shape. */
#ifndef ECGFM_GRAPH_OPS_H
#define ECGFM_GRAPH_OPS_H

#include "graph/tape.h"

#define OP(name) extern const struct op op_##name;
#include "graph/ops.def"
#undef OP

/* x [..,K], w [N,K] or [N,K,1], b [N] or NULL -> act(x w^T + b) [..,N] */
struct tensor *t_linear(struct tape *t, struct tensor *x, struct tensor *w, struct tensor *b,
                        enum activation act);
/* x [B,T,C], w [O,C/groups,width], b [O] or NULL -> act of the convolution over tokens [B,T,O]:
 * w[..,i] meets token t + i - width / 2, zero outside the record. With magnitude [width] the weights are
 * magnitude[i] w[..,i] / |w[..,i]| (weight norm by tap; Salimans and Kingma 2016), width at most 1024. */
struct tensor *t_conv(struct tape *t, struct tensor *x, struct tensor *w, struct tensor *b,
                      struct tensor *magnitude, int64_t groups, enum activation act);
/* x [B,T,H], step [H], real [H,N], imaginary [H,N], output [directions,H,N,2], skip [H] -> the diagonal
 * state space model of kernel/kernel.h (struct ssm), causal (1 direction) or both ways (2) [B,T,H].
 * Source: Gu et al. 2022 (S4D) */
struct tensor *t_ssm(struct tape *t, struct tensor *x, struct tensor *step, struct tensor *real,
                     struct tensor *imaginary, struct tensor *output, struct tensor *skip);
/* The same without weight norm, centred on every `stride`-th token: N = (T - 1) / stride + 1 rounded down
 * [B,N,O]; not padded (odd widths): only where all taps meet tokens, N = (T - width) / stride + 1. */
struct tensor *t_conv_strided(struct tape *t, struct tensor *x, struct tensor *w, struct tensor *b,
                              int64_t groups, int64_t stride, bool padded, enum activation act);
/* x [..,C], g, b, mean, var [C], residual like x or NULL -> act of x normalized by channel over all rows,
 * plus residual; act: none or ReLU. mean and var are the running statistics (parameters, no gradient).
 * While training with a g that learns, statistics are those of the batch and the running ones move by a
 * tenth towards them (PyTorch's BatchNorm1d, the variance unbiased); else the running ones are used, so
 * that a record does not depend on company. Source: Ioffe and Szegedy 2015 */
struct tensor *t_batchnorm(struct tape *t, struct tensor *x, struct tensor *g, struct tensor *b,
                           struct tensor *mean, struct tensor *var, struct tensor *residual,
                           double epsilon, enum activation act);
/* Does the node normalize by the statistics of one row, which has no variance? */
bool batchnorm_of_one_row(const struct node *n);
/* x [B,T,C] -> [B,N,C]: mean or maximum of windows of tokens, `padding` tokens (at most half the width)
 * at either end, N as PyTorch's MaxPool1d and AvgPool1d with ceil_mode have it. */
struct tensor *t_pool_windows(struct tape *t, struct tensor *x, enum pool_kind kind, int64_t width,
                              int64_t stride, int64_t padding, bool ceil);
/* x [..,D], h [..,2D], g [D], b [D] -> t_layernorm(x + dropout(glu(h))), dropout where gradients flow; glu:
 * the first half times the logistic function of the second. Source: Dauphin et al. 2017 */
struct tensor *t_gated_norm(struct tape *t, struct tensor *x, struct tensor *h, struct tensor *g,
                            struct tensor *b, double p, double epsilon);
/* x -> act(x), same shape */
struct tensor *t_activation(struct tape *t, struct tensor *x, enum activation act);
/* The same, then dropout of the elements where gradients flow. */
struct tensor *t_activation_dropout(struct tape *t, struct tensor *x, enum activation act,
                                    double p);
/* x [..,D], g [D], b [D] (both or none) -> normalized rows. Source: Ba et al. 2016 */
struct tensor *t_layernorm(struct tape *t, struct tensor *x, struct tensor *g, struct tensor *b,
                           double epsilon);
/* x [B,T,C], g [C], b [C] -> each group of C/groups channels of a record normalized over its tokens.
 * Source: Wu and He 2018 */
struct tensor *t_groupnorm(struct tape *t, struct tensor *x, struct tensor *g, struct tensor *b,
                           int64_t groups, double epsilon);
/* Softmax over the last axis. */
struct tensor *t_softmax(struct tape *t, struct tensor *x);
/* qkv [B,N,3*H*E] -> [B,N,H*E]; scale 1/sqrt(E). lengths [B] index: tokens of each record that are
 * attended to, its first, 0 to N; NULL: all. dropout of the attention probabilities, where gradients
 * flow. Source: Vaswani et al. 2017 eq. 1 */
struct tensor *t_attention(struct tape *t, struct tensor *qkv, struct tensor *lengths,
                           int64_t heads, double dropout);
/* The weights of that attention, averaged over the heads: [B,N,N], a row of keys for each query, or
 * with `highest` the largest of each row, [B,N]. No gradient. */
struct tensor *t_attention_weights(struct tape *t, struct tensor *qkv, struct tensor *lengths,
                                   int64_t heads, bool highest);
/* a + b, same shape */
struct tensor *t_add(struct tape *t, struct tensor *a, struct tensor *b);
/* x itself, where training with the gradient that flows back times alpha */
struct tensor *t_scale_gradient(struct tape *t, struct tensor *x, double alpha);
/* Where training `other` in place of x, with probability p for the whole batch (layer drop: Fan et al.
 * 2020); else x. Same shape */
struct tensor *t_choose(struct tape *t, struct tensor *x, struct tensor *other, double p);
/* alpha x */
struct tensor *t_scale(struct tape *t, struct tensor *x, double alpha);
/* x [..] + p, p repeated over the leading axes: numel of x is a multiple of numel of p */
struct tensor *t_add_rows(struct tape *t, struct tensor *x, struct tensor *p);
/* a [L,D], b [N,D] -> y [L*N,D], y[l*N+n] = a[l] + b[n] */
struct tensor *t_outer_add(struct tape *t, struct tensor *a, struct tensor *b);
/* x [B,N,D], index [B,J] distinct in a row -> [B,J,D]; -1: a row of zeros */
struct tensor *t_gather(struct tape *t, struct tensor *x, struct tensor *index);
/* x [B,J,D], fill [D] or NULL (zero), index [B,J] -> [B,N,D]: rows at index are x, all others fill */
struct tensor *t_scatter(struct tape *t, struct tensor *x, struct tensor *fill,
                         struct tensor *index, int64_t token_count);
/* x [B,N,D], fill [D], index [B,M], distinct in a row or negative (none) -> x with rows at index replaced
 * by fill */
struct tensor *t_fill(struct tape *t, struct tensor *x, struct tensor *fill, struct tensor *index);
/* lengths [B] index of records as long as t_fold is given -> [B] index: how many windows lie in each
 * whole, at most `most` */
struct tensor *t_fold_lengths(struct tape *t, struct tensor *lengths, int64_t width, int64_t stride,
                              int64_t most);
/* x [B,T,4H], w [4H,H] -> [B,T,H]: a layer of long short-term memory, from rest. x is what input and
 * biases bring to the gates input, forget, cell, output, H of each; w brings what the token before gave.
 * PyTorch's weight_hh is w, its weight_ih and the sum of its two biases make x (t_linear). */
struct tensor *t_lstm(struct tape *t, struct tensor *x, struct tensor *w);
/* x [B,N,D], lengths [B] index, 0 to N -> x with zero in the tokens after */
struct tensor *t_clear_after(struct tape *t, struct tensor *x, struct tensor *lengths);
/* signal [B,L,T] -> [B,T/P,L*P] with all_leads, else [B,L*T/P,P] (lead-major tokens) */
struct tensor *t_patchify(struct tape *t, struct tensor *signal, int64_t patch, bool all_leads);
/* x [B,T,C] -> [B,(T-width)/stride+1,width*C]: windows of tokens, one token after the other. What does
 * not fill a window at the end is left out. */
struct tensor *t_fold(struct tape *t, struct tensor *x, int64_t width, int64_t stride);
/* query [D], kv [B,N,2*D] (keys beside values), lengths as in t_pool -> [B,D]: in each of `heads` parts of
 * the width, the mean of the values by softmax(query . key / sqrt(width of a part)). */
struct tensor *t_attend(struct tape *t, struct tensor *query, struct tensor *kv,
                        struct tensor *lengths, int64_t heads);
/* x [B,N,D] -> [B,D] over the first lengths[b] tokens ([B] index, 0 to N; NULL: all), 0 of none */
struct tensor *t_pool(struct tape *t, struct tensor *x, struct tensor *lengths,
                      enum pool_kind kind);
/* a [M,X], b [M,Y] -> [M,X+Y] */
struct tensor *t_concat(struct tape *t, struct tensor *a, struct tensor *b);
/* Rows of length one. */
struct tensor *t_l2norm(struct tape *t, struct tensor *x);
/* The same, but no gradient flows through the lengths. */
struct tensor *t_l2norm_detached(struct tape *t, struct tensor *x);
/* Elements (whole = false) or whole leading-axis entries (drop path) zeroed with probability p and
 * the rest scaled by 1/(1-p). x itself on a tape without training or with p = 0. */
struct tensor *t_dropout(struct tape *t, struct tensor *x, double p, bool whole);
/* The same of elements, on a training tape also where no gradient flows into x: before what learns from
 * frozen features. */
struct tensor *t_dropout_always(struct tape *t, struct tensor *x, double p);
/* pred [B,J,P], target [B,N,P] (no gradient), index [B,J] -> mean squared error [1] */
struct tensor *t_mse_patch(struct tape *t, struct tensor *pred, struct tensor *target,
                           struct tensor *index, bool normalize);
/* logits [B,K], target [B,K] (no gradient; NaN: not counted), weight [K] or NULL (no gradient)
 * -> mean binary cross-entropy [1] */
struct tensor *t_bce(struct tape *t, struct tensor *logits, struct tensor *target,
                     struct tensor *weight);
/* x [B,K], target [B,K] (no gradient; NaN: not counted) -> mean squared error [1] */
struct tensor *t_mse(struct tape *t, struct tensor *x, struct tensor *target);
/* z [2B,D] rows of length one -> loss [1]. Source: Chen et al. 2020 eq. 1 */
struct tensor *t_ntxent(struct tape *t, struct tensor *z, double temperature);
/* x -> mean of its squares [1] */
struct tensor *t_mean_square(struct tape *t, struct tensor *x);

/* Contrastive coding by a quantizer. `index` [B,M] as in t_gather says which of the rows [B,M,..] there
 * are; no gradient flows into index, noise, temperature, negatives and records. */
/* logits [B,M,G*V], codes [G*V,W], noise [B,M,G*V] or NULL, temperature [1] -> [B,M,G*W]: in each of G
 * groups the code with the largest logit plus noise; the gradient of the logits is that of the mean of
 * all codes with weights softmax((logits + noise) / temperature). Source: Jang et al. 2017; Baevski et
 * al. 2020 (wav2vec 2.0), section 2. */
struct tensor *t_quantize(struct tape *t, struct tensor *logits, struct tensor *codes,
                          struct tensor *noise, struct tensor *temperature, struct tensor *index,
                          int64_t groups);
/* logits [B,M,G*V] -> [1]: sum over groups of the perplexity of the mean of softmax(logits); with
 * `hard` of how often each code is the largest, without a gradient. */
struct tensor *t_perplexity(struct tape *t, struct tensor *logits, struct tensor *index,
                            int64_t groups, bool hard);
/* perplexity [1] -> (count - perplexity) / count [1], count the number of codes of all groups */
struct tensor *t_diversity(struct tape *t, struct tensor *perplexity, int64_t count);
/* x, target [B,M,D], same [B,M,D] (no gradient) or NULL, negatives [B,M,K] (rows of target, 0 to B*M-1, or -1)
 * -> [B,M,1+K]: products with the own target and with the negatives, over temperature; minus infinity
 * where there is none or its row of `same` equals the own one exactly */
struct tensor *t_similarity(struct tape *t, struct tensor *x, struct tensor *target,
                            struct tensor *same, struct tensor *negatives, double temperature);
/* x [B,M,D], keys [B,N,D], picks [B,M,K] -> [B,M,K]: products of each row with chosen keys, 0 to group * N - 1, of
 * the `group` records beside each other that its own is one of; minus infinity where that is none (-1). A key
 * may be picked again. */
struct tensor *t_candidates(struct tape *t, struct tensor *x, struct tensor *keys,
                            struct tensor *picks, int64_t group);
/* logits [B,M,K] -> mean cross entropy of class 0 [1] */
struct tensor *t_first_class(struct tape *t, struct tensor *logits, struct tensor *index);
/* logits [B,M,K] -> share of rows where class 0 is the largest and not also the smallest [1]; no
 * gradient */
struct tensor *t_accuracy(struct tape *t, struct tensor *logits, struct tensor *index);
/* z [2P,D], record [P] -> loss [1]: pairs at rows i and P + i, positive where records are the same.
 * Source: Kiyasseh et al. 2021 (CLOCS), eq. 1-3. */
struct tensor *t_cmsc(struct tape *t, struct tensor *z, struct tensor *record, double temperature);

#endif
