"""Operators on strings: against onnxruntime where it has them, and what cannot be."""

import re

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto

import cml_core as cml
from tests.one_node import assert_refused, of_onnxruntime, quantized, results


def texts(*values):
    return np.array(values, dtype=object)


def assert_same(got, wanted):
    for mine, theirs in zip(got, wanted, strict=True):
        theirs = np.asarray(theirs)
        assert mine.dtype == theirs.dtype
        assert mine.shape == theirs.shape
        assert mine.tolist() == theirs.tolist()


def assert_as_onnxruntime(op_type, inputs, **options):
    assert_same(results(op_type, inputs, **options), of_onnxruntime(op_type, inputs, **options))


# --- Cast, CastLike -------------------------------------------------------------------------------


def spelled(x, **options):
    (cast,) = results("Cast", (x,), to=TensorProto.STRING, **{"opset": 19, **options})
    (like,) = results("CastLike", (x, texts("")), opset=19)
    assert cast.dtype == like.dtype == object
    assert cast.shape == like.shape == x.shape
    assert cast.tolist() == like.tolist()
    return cast.tolist()


@pytest.mark.parametrize(
    "x",
    [
        np.array([[7, -5], [0, 2**40]]),
        np.array([2**64 - 1], dtype=np.uint64),
        np.array([-128, 127], dtype=np.int8),
        np.array([True, False]),
        np.array([1.5, -0.25, 1000.0, -0.0, np.inf, -np.inf, np.nan], dtype=np.float32),
        np.array([314.15926, 3.14, 0.001]),
        np.array(2.5, dtype=np.float16),
        np.zeros((0, 3)),
    ],
    ids=lambda x: f"{x.dtype}-{x.ndim}",
)
def test_numbers_are_spelled_as_onnxruntime_spells_them(x):
    (wanted,) = of_onnxruntime("Cast", (x,), opset=19, to=TensorProto.STRING)
    assert spelled(x) == np.asarray(wanted).tolist()


@pytest.mark.parametrize(
    ("x", "wanted", "of_onnxruntime_"),
    [
        (np.float64([1e-7, 1e20]), ["0.0000001", "100000000000000000000"], ["1e-07", "1e+20"]),
        (np.float32([3.14, 1e-4]), ["3.14", "0.0001"], ["3.1400001", "9.9999997e-05"]),
        (np.float64([123456789.0]), ["123456789"], ["1.2345679e+08"]),
        (np.float16([3.14]), ["3.14"], ["3.140625"]),
    ],
    ids=str,
)
def test_numbers_are_spelled_plainly_as_onnx_says_where_onnxruntime_has_eight_digits(
    x, wanted, of_onnxruntime_
):
    (theirs,) = of_onnxruntime("Cast", (x,), opset=19, to=TensorProto.STRING)
    assert theirs.tolist() == of_onnxruntime_
    assert spelled(x) == wanted


@pytest.mark.parametrize(
    ("name", "values", "wanted"),
    [
        ("bfloat16", [1.5, 256.0, np.inf], ["1.5", "256", "INF"]),
        ("float8_e4m3fn", [0.5, np.nan], ["0.5", "NaN"]),
        ("int4", [-8, 7], ["-8", "7"]),
        ("uint4", [15, 0], ["15", "0"]),
    ],
)
def test_numbers_of_few_bits_are_spelled_too(name, values, wanted):
    x = np.array(values, dtype=getattr(ml_dtypes, name))
    (got,) = results("Cast", (x,), opset=21, to=TensorProto.STRING)
    assert got.tolist() == wanted


@pytest.mark.parametrize(
    "dtype", [np.dtype(t) for t in (np.float16, np.float32, np.float64)], ids=str
)
def test_what_is_spelled_is_read_back_to_the_last_bit(dtype):
    bits = np.dtype(f"u{dtype.itemsize}")
    codes = np.random.default_rng(0).integers(0, np.iinfo(bits).max, 2000, dtype=bits)
    x = codes.view(dtype)
    x = x[np.isfinite(x)]
    text = texts(*spelled(x))
    (back,) = results("CastLike", (text, x[:1]), opset=19)
    np.testing.assert_array_equal(back.view(bits), x.view(bits))


@pytest.mark.parametrize("to", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_strings_are_read_as_onnxruntime_reads_them(to):
    x = texts("3.14", "1000", "1e-5", "1E8", "INF", "+INF", "+inf", "-Inf", "nan", "NaN", "-7")
    (got,), (wanted,) = (run("Cast", (x,), opset=19, to=to) for run in (results, of_onnxruntime))
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)


def test_strings_are_read_as_integers_without_what_follows_the_point():
    x = texts(["100.5", "-7.9"], ["9007199254740993", "+4"])
    (got,), (wanted,) = (
        run("Cast", (x,), opset=19, to=TensorProto.INT64) for run in (results, of_onnxruntime)
    )
    np.testing.assert_array_equal(got, wanted)
    for text in ("Hello World!", "NaN", "INF", ""):
        assert_refused(
            "invalid literal|convert string", "Cast", (texts(text),), opset=19, to=TensorProto.INT64
        )


def test_strings_stay_strings():
    x = texts(["a", "Ü"], ["", "1.50"])
    assert spelled(x) == x.tolist()


def test_there_are_strings_to_cast_to_from_opset_9_on():
    x = np.float32([1.5])
    assert_refused("number or boolean", "Cast", (x,), opset=8, to=TensorProto.STRING)
    assert spelled(x, opset=9) == ["1.5"]


def test_encrypted_numbers_are_not_spelled():
    x = np.float32([[1.5, -2.0]])
    with pytest.raises(cml.CmlError, match="number or boolean"):
        quantized("Cast", (x,), encrypted=(0,), opset=19, to=TensorProto.STRING)


# --- StringConcat, StringSplit --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (texts("a", "bé"), texts("", "😀")),
        (texts(["a"], ["b"]), texts("c", "d", "e")),
        (np.array("a", dtype=object), np.array("b", dtype=object)),
        (np.zeros((0, 2), dtype=object), texts("c")),
    ],
)
def test_strings_are_joined(x, y):
    assert_as_onnxruntime("StringConcat", [x, y], opset=20)


def test_strings_of_other_shapes_are_not_joined():
    assert_refused("broadcast", "StringConcat", [texts("a", "b"), texts("a", "b", "c")], opset=20)


@pytest.mark.parametrize("x", [texts("  a bb   c "), texts(["", "a"], ["a b c d", "  "])])
@pytest.mark.parametrize("maxsplit", [None, -1, 0, 1, 2, 9])
def test_strings_are_divided_at_white_space(x, maxsplit):
    options = {} if maxsplit is None else {"maxsplit": maxsplit}
    assert_as_onnxruntime("StringSplit", [x], opset=20, n_outputs=2, **options)


@pytest.mark.parametrize("x", [texts(",a,,b,"), texts(["x", ","], ["a,b", ",,"])])
@pytest.mark.parametrize("maxsplit", [None, 0, 1, 2])
@pytest.mark.parametrize("delimiter", [",", ",,", "ab"])
def test_strings_are_divided_at_a_delimiter(x, maxsplit, delimiter):
    options = {"delimiter": delimiter, **({} if maxsplit is None else {"maxsplit": maxsplit})}
    assert_as_onnxruntime("StringSplit", [x], opset=20, n_outputs=2, **options)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3)])
def test_one_string_or_none_is_divided(shape):
    x = np.full(shape, "a b", dtype=object)
    assert_as_onnxruntime("StringSplit", [x], opset=20, n_outputs=2)


def test_an_empty_string_is_one_string_between_delimiters():
    parts, counts = results("StringSplit", [texts("")], opset=20, n_outputs=2, delimiter=",")
    assert parts.tolist() == [[""]]
    assert counts.tolist() == [1]


# --- StringNormalizer -----------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["NONE", "LOWER", "UPPER"])
@pytest.mark.parametrize("case_sensitive", [0, 1])
@pytest.mark.parametrize("stopwords", [(), ("b",), ("a b", "É"), ("a", "é", "", "a b")])
def test_strings_are_normalized(action, case_sensitive, stopwords):
    x = texts("A b", "é", "B", "").reshape((1, 4) if case_sensitive else (4,))
    options = {"case_change_action": action, "is_case_sensitive": case_sensitive}
    if stopwords:
        options["stopwords"] = list(stopwords)
    options["locale"] = "C.UTF-8"
    assert_as_onnxruntime("StringNormalizer", [x], opset=10, **options)


def test_a_language_has_its_own_cases():
    x = texts("ıi Iİ")
    for locale, upper, lower in (("tr_TR", "Iİ Iİ", "ıi ıi"), ("en_US", "II Iİ", "ıi ii̇")):
        for action, wanted in (("UPPER", upper), ("LOWER", lower)):
            options = {"case_change_action": action, "locale": locale}
            (y,) = results("StringNormalizer", [x], opset=10, **options)
            assert y.tolist() == [wanted]


@pytest.mark.parametrize("shape", [(), (2, 1), (1, 1, 1)])
def test_only_rows_are_normalized(shape):
    x = np.full(shape, "a", dtype=object)
    assert_refused("shape of X", "StringNormalizer", [x], opset=10)


def test_an_unknown_case_is_refused():
    match = "case_change_action is 'TITLE', expected NONE, LOWER or UPPER"
    assert_refused(match, "StringNormalizer", [texts("a")], opset=10, case_change_action="TITLE")


# --- RegexFullMatch -------------------------------------------------------------------------------

#: What tells syntaxes apart: ends of lines, letters beyond ASCII, characters with a meaning.
SUBJECTS = (
    *("", "a", "A", "ab", "aab", "b", "k", "K", "\u212a", "s", "\u017f", "é", "É", "ß", "0", "_"),
    *("-", " ", "\n", "a\n", "\na", "a\nb", "\t", "\x0b", "a.b", "a b", "[", "]", "^", "\\", "|"),
    *("&", "~", "{", "}", "a{2", "a{,2}", "a-b", "😀", "x{1}", "aaa", "+", "(", "\0", "\x08"),
)
TEXT = r"""
a a|b a| (a)(b)? (?:a|b)* (?P<x>a)b (?<x>a)b a+?b a{2}b a{1,} a$ ^a a\z \Aa . .* (?s).* (?s:.)
(?i)a (?i)k (?i)é (?i:a)b (?i)a(?-i)b (a(?i)b|A) (?i)[^k] (?U)a+ (?i)ß () (|a)+
\d \D \w \W \s \S (?i)\w (?i)\W [\W] (?i)[\Wa] [^\d] \ba\b.b \B a\Bb
(?i)[[:upper:]] [[:alpha:]] [[:^alpha:]] [^[:space:]] [[:punct:]]
[a-b] []] [^]] [a-] [-a] [[a] [&&a] [a||b] [a~~] [\n\t] [\x{e9}]
\x61 \x{1F600} \141 \0 \101 \. \_ \n \v \Qa.b\E \Q[ a\Q.\Eb a{,2} a{2 x{1} x\{1}
"""
PATTERNS = [*TEXT.split(), "", "a$\n", "(?m)^a$\n", "(?m:a$\n^b)", "a b"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_match_what_they_do_in_re2(pattern):
    assert_as_onnxruntime("RegexFullMatch", [texts(*SUBJECTS)], opset=20, pattern=pattern)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a(?=b)", "no look-around"),
        ("(?<!a)b", "no look-around"),
        (r"(a)\1", "no back-references"),
        ("(?P<x>a)(?P=x)", r"no group that begins with (?P"),
        ("(?>a)", r"no group that begins with (?>"),
        ("(?#a)", r"no group that begins with (?#"),
        ("(?x:a)", r"no group that begins with (?x"),
        ("a**", "something to repeat"),
        ("a*+", "something to repeat"),
        ("*a", "something to repeat"),
        ("a{1001}", "repetitions of at most 1000"),
        ("a{2,1}", "repetitions of at most 1000"),
        ("(a", "a ) for each ("),
        ("a)", "a ( for each )"),
        ("[a", "a ] for each ["),
        ("[b-a]", "the lower end of a range first"),
        ("[[:vowel:]]", "no class [:vowel:]"),
        ("\\", "something after each \\"),
        (r"\Z", r"no escape \Z"),
        (r"\u0061", r"no escape \u"),
        (r"[\b]", r"no escape \b"),
        (r"\pL", r"no escape \p"),
    ],
)
def test_what_re2_lacks_is_refused(pattern, reason):
    assert_refused(re.escape(reason), "RegexFullMatch", [texts("a")], opset=20, pattern=pattern)


def test_a_pattern_is_needed():
    assert_refused("pattern is None", "RegexFullMatch", [texts("a")], opset=20)


# --- TfIdfVectorizer ------------------------------------------------------------------------------

NUMBERS = {
    "ngram_counts": [0, 3, 7],
    "pool_int64s": [1, 2, 4, 1, 2, 2, 1, 1, 2, 3, 1, 2, 1],
    "ngram_indexes": [3, 0, 6, 1, 5, 2, 7],
}
WORDS = {
    "ngram_counts": [0, 1],
    "pool_strings": ["be", "to", "be", "or", "not"],
    "ngram_indexes": [1, 2, 0],
}


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize("lengths", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("skips", [0, 2])
@pytest.mark.parametrize("shape", [(9,), (3, 7), (2, 0)])
def test_n_grams_are_counted(mode, lengths, skips, shape):
    x = np.random.default_rng(0).integers(0, 5, shape)
    options = {"mode": mode, "max_skip_count": skips, **NUMBERS}
    options |= {"min_gram_length": lengths[0], "max_gram_length": lengths[1]}
    if mode != "TF":
        options["weights"] = [0.5, 2.0, 1.0, 3.0, 0.25, 4.0, 1.5]
    x = x.astype(np.int32 if skips else np.int64)
    assert_as_onnxruntime("TfIdfVectorizer", [x], opset=9, **options)


@pytest.mark.parametrize("lengths", [(1, 1), (1, 2), (2, 2)])
def test_n_grams_of_words_are_counted(lengths):
    x = texts(["to", "be", "or", "not"], ["to", "be", "be", "\0"])
    options = {"mode": "TF", "max_skip_count": 1, **WORDS}
    options |= {"min_gram_length": lengths[0], "max_gram_length": lengths[1]}
    assert_as_onnxruntime("TfIdfVectorizer", [x], opset=9, **options)


def test_n_grams_that_share_a_coordinate_are_added():
    options = {"mode": "TFIDF", "max_skip_count": 0, "min_gram_length": 1, "max_gram_length": 1}
    options |= {"ngram_counts": [0], "pool_int64s": [1, 2], "ngram_indexes": [1, 1]}
    x = np.array([1, 2, 2])
    (y,) = results("TfIdfVectorizer", [x], opset=9, weights=[2.0, 3.0], **options)
    assert y.tolist() == [0, 8]


@pytest.mark.parametrize(
    ("match", "change"),
    [
        ("mode is 'DF', expected TF, IDF or TFIDF", {"mode": "DF"}),
        ("max_gram_length is 4, expected at least min_gram_length", {"max_gram_length": 4}),
        ("max_gram_length is 2, expected", {"min_gram_length": 3}),
        ("max_gram_length is 2, expected", {"min_gram_length": 0}),
        ("max_skip_count is -1", {"max_skip_count": -1}),
        ("ngram_counts is .*rising places", {"ngram_counts": [0, 7, 3]}),
        ("ngram_counts is .*room for whole 2-grams", {"ngram_counts": [0, 2, 7]}),
        ("ngram_indexes is .*a coordinate for each of the 7", {"ngram_indexes": [0, 1]}),
        ("ngram_indexes is .*a coordinate for each", {"ngram_indexes": [0, 1, 2, 3, 4, 5, -6]}),
        ("weights is .*a weight for each of the 7", {"weights": [1.0]}),
        ("holds a 1-gram twice", {"pool_int64s": [1, 1, *NUMBERS["pool_int64s"][2:]]}),
        ("either pool_int64s or pool_strings", {"pool_strings": ["a"]}),
    ],
)
def test_pools_that_make_no_sense_are_refused(match, change):
    options = {"mode": "TF", "min_gram_length": 1, "max_gram_length": 2, "max_skip_count": 0}
    options |= NUMBERS | change
    assert_refused(match, "TfIdfVectorizer", [np.array([1, 2])], opset=9, **options)


def test_tokens_are_of_the_kind_that_the_pool_has():
    options = {"mode": "TF", "min_gram_length": 1, "max_gram_length": 1, "max_skip_count": 0}
    for x, pool in ((texts("a"), NUMBERS), (np.array([1]), WORDS)):
        assert_refused("of the kind", "TfIdfVectorizer", [x], opset=9, **options, **pool)
    x = np.zeros((1, 1, 1), dtype=np.int64)
    assert_refused("shape of X", "TfIdfVectorizer", [x], opset=9, **options, **NUMBERS)
