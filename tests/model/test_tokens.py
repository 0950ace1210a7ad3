"""Tokens of text and sets: NFKC, casefold, words or whole values."""

from __future__ import annotations

from recall.model.tokens import set_tokens, text_tokens


def test_words_are_folded_and_compatible_forms_meet() -> None:
    assert text_tokens("Jazz, JAZZ \uff2a\uff41\uff5a\uff5a") == ["jazz", "jazz", "jazz"]
    assert text_tokens("Straße \ufb01n") == ["strasse", "fin"]


def test_combined_and_precomposed_letters_are_one_word() -> None:
    assert text_tokens("cafe\u0301") == text_tokens("caf\u00e9") == ["caf\u00e9"]


def test_words_hold_digits_and_underscores_but_no_punctuation() -> None:
    assert text_tokens("it's x_1: 2.5!") == ["it", "s", "x_1", "2", "5"]


def test_text_without_a_word_has_no_tokens() -> None:
    assert text_tokens("") == text_tokens(" -- !? \u2026") == []


def test_set_values_are_folded_whole_and_stay_repeated() -> None:
    assert set_tokens(("Blue NOTE", "blue note", "a-b")) == ["blue note", "blue note", "a-b"]
