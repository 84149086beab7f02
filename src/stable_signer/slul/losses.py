"""The four losses of SLUL, one readable function each, and the semantic mask that SAGM draws from.

Notation: `g` (B,T) gloss tokens, `g~` the same with some of them replaced by <mask>, `H` (B,S,d) encoder
states, p(. | g, H) the decoder's posterior at every position given the tokens before it. Padding in `targets`
is IGNORE. The paper (Stable Signer, arXiv 2512.04048) names the losses; rates, weights, temperature and the
definition of "semantic" are ours and are measured in `benchmarks/slul_ablation.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = -100


def mle_loss(
    logits: Tensor, targets: Tensor, smoothing: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """Maximum likelihood: L = - sum_t log p(g_t | g_<t, H), a mean over tokens, with label smoothing.

    `logits` (B,T,V); `targets` (B,T) with IGNORE; `weights` (B,) weighs whole sentences (rule-made pairs
    count less than real ones).
    """
    keep = targets != IGNORE  # (B,T)
    logp = F.log_softmax(logits.float(), dim=-1)  # (B,T,V)
    gold = logp.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)  # (B,T)
    loss = -(1 - smoothing) * gold - smoothing * logp.mean(-1)
    share = keep.float() if weights is None else keep.float() * weights[:, None]
    return (loss * share).sum() / share.sum().clamp(min=1e-6)


def sagm_loss(masked_logits: Tensor, targets: Tensor, masked: Tensor) -> Tensor:
    """Semantic-aware gloss masking: L = - sum_t 1[masked_t] log p(g_t | g~, H), a mean over masked tokens.

    `masked` (B,T) bool says which gloss tokens were drawn. Position t predicts g_t from the masked prefix
    g~_<t and the text, so what a hidden gloss contributed has to come from the encoder. Zero when nothing is
    masked.
    """
    keep = masked & (targets != IGNORE)
    if not bool(keep.any()):
        return masked_logits.sum() * 0.0
    return F.cross_entropy(masked_logits[keep].float(), targets[keep])


def kl_loss(masked_logits: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """Consistency of the posteriors: KL( p(.|g~,H) || p(.|g,H) ), a mean over tokens; gradients flow into
    both.

    Because dropout differs between the two passes, this is also a regulariser where nothing is masked
    (the effect known as R-Drop, Liang et al. 2021).
    """
    keep = targets != IGNORE
    logp = F.log_softmax(masked_logits[keep].float(), dim=-1)  # (N,V)
    logq = F.log_softmax(logits[keep].float(), dim=-1)
    return (logp.exp() * (logp - logq)).sum(-1).mean()


def contrastive_loss(
    text_states: Tensor, text_mask: Tensor, gloss_states: Tensor, gloss_mask: Tensor, temperature: float = 0.1
) -> Tensor:
    """InfoNCE between h_x = mean-pooled encoder state and h_g = mean-pooled decoder state, both directions.

    L = - log exp(<h_x,h_g>/tau) / sum_j exp(<h_x,h_g_j>/tau), states normalised, negatives are the other
    sentences in the batch. `text_states` (B,S,d), `gloss_states` (B,T,d), masks (B,S) and (B,T) bool.
    """
    x = F.normalize(_pool(text_states, text_mask), dim=-1)  # (B,d)
    g = F.normalize(_pool(gloss_states, gloss_mask), dim=-1)
    scores = x @ g.T / temperature  # (B,B)
    labels = torch.arange(len(scores), device=scores.device)
    return 0.5 * (F.cross_entropy(scores, labels) + F.cross_entropy(scores.T, labels))


def lexical_loss(text_logits: Tensor, text_mask: Tensor, targets: Tensor, end: int) -> Tensor:
    """Each gloss should be readable off some text state: L = - mean_t log 1/S sum_s p(g_t | H_s).

    A neural IBM model 1 (Brown et al. 1993) through the output embeddings. It is not in the paper; it teaches
    the encoder what a word is signed with before the decoder has learned where to look (ROUGE-L after three
    epochs of Phoenix14T: 27.5 without it, 29.7 with it). `text_logits` (B,S,V), `text_mask` (B,S) bool,
    `targets` (B,T); the end token is left out.
    """
    keep = (targets != IGNORE) & (targets != end)
    logp = F.log_softmax(text_logits.float(), dim=-1).masked_fill(~text_mask[..., None], -1e4)
    mixture = torch.logsumexp(logp, dim=1) - text_mask.sum(1).float().log()[:, None]  # (B,V)
    chosen = mixture.gather(1, targets.clamp(min=0))  # (B,T)
    return -chosen[keep].mean() if bool(keep.any()) else text_logits.sum() * 0.0


def _pool(states: Tensor, mask: Tensor) -> Tensor:
    share = mask.unsqueeze(-1).float()
    return (states.float() * share).sum(1) / share.sum(1).clamp(min=1)


def semantic_weights(sequences: Sequence[Sequence[int]], size: int, dim: int = 48) -> np.ndarray:
    """How strongly SAGM wants to mask each token: (size,) weights with mean 1 over the tokens of `sequences`.

    weight = information * confusability. *Information* is -log of the share of sentences that hold the token
    (a pointing sign or KOMMEN says little, a place or a number says much), scaled to 0..1. *Confusability* is
    0.5 + the largest cosine to another token in a space of contexts (left and right neighbours, positive
    pointwise mutual information, truncated SVD): signs that live in the same places (NORD / SUED, twelve /
    thirteen) cannot be told from the glosses around them, only from the text. Tokens that never occur get
    weight 0.
    """
    documents: Counter[int] = Counter()
    counts: Counter[int] = Counter()
    pairs: Counter[tuple[int, int]] = Counter()
    for sequence in sequences:
        documents.update(set(sequence))
        counts.update(sequence)
        for a, b in pairwise(sequence):
            pairs[a, b] += 1  # b is a's right neighbour
            pairs[b, size + a] += 1  # a is b's left neighbour
    if not counts:
        return np.zeros(size)
    information = np.zeros(size)
    for token, n in documents.items():
        information[token] = np.log((len(sequences) + 1) / n)
    information /= information.max()

    context = np.zeros((size, 2 * size), dtype=np.float32)
    for (a, b), n in pairs.items():
        context[a, b] = n
    total = max(context.sum(), 1.0)
    expected = context.sum(1, keepdims=True) * context.sum(0, keepdims=True) / total
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.where(context > 0, np.log(context / expected), 0.0)
    seen = np.array(sorted(counts))
    ppmi = np.maximum(pmi, 0)[seen]
    values, axes = np.linalg.eigh(
        ppmi @ ppmi.T
    )  # of the Gram matrix: its vectors are the left singular vectors
    vectors = axes[:, -dim:] * np.maximum(values[-dim:], 0) ** 0.25
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, 0.0)
    confusability = np.zeros(size)
    confusability[seen] = 0.5 + np.clip(cosine.max(1), 0, 1)

    weights = information * confusability
    mean = sum(weights[t] * n for t, n in counts.items()) / sum(counts.values())
    return weights / max(mean, 1e-9)


def draw_mask(
    targets: Tensor, rate: float, weights: Tensor | None, maskable: Tensor, generator: torch.Generator
) -> Tensor:
    """Which gloss tokens of `targets` (B,T) to hide: u_t <= rate * weight(g_t), u_t ~ U(0,1); (B,T) bool.

    `weights` None masks uniformly. `maskable` (V,) bool leaves out end of sentence and markup. The mean over
    tokens is `rate` in both cases (up to the cap of 0.9 on a single token's chance).
    """
    tokens = targets.clamp(min=0)
    chance = torch.full(targets.shape, rate) if weights is None else (rate * weights[tokens]).clamp(max=0.9)
    drawn = torch.rand(targets.shape, generator=generator) <= chance
    return drawn & (targets != IGNORE) & maskable[tokens]
