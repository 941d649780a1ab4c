/* What ECG-FM was pre-trained on: wav2vec 2.0 and contrast of adjacent segments, both from one forward
 * pass of masked tokens of segments with random leads set to zero, and its optimizer.
 * Source: McKeen et al. 2024 (ECG-FM), Methods; Oh et al. 2022 (arXiv 2203.06889). */
#include "objective/objective.h"

const struct objective objective_ecg_fm = {
    .name = "ecg-fm",
    .help = "w2v+cmsc with random lead masking, as ECG-FM was trained",
    .stands_for = "w2v+cmsc",
    .views = 2,
    .pairs = true,
    .defaults =
        FAIRSEQ_TRAINING "model=ecg-fm w2v.dropout=0.1 w2v.attention_dropout=0.1 "
                         "w2v.activation_dropout=0 w2v.input_dropout=0.1 w2v.layer_drop=0 "
                         "w2v.feature_gradient=0.1 augment.lead_mask.probability=1 "
                         "augment.lead_mask.lead_probability=0.5 augment.lead_mask.spare=false",
};
