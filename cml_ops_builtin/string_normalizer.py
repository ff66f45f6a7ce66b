"""StringNormalizer: strings without stop words, in lower or upper case if so asked.

A stop word is a whole element. Cases are those of Unicode, with the dotless i of Turkish and Azeri
where `locale` names one of them.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl

#: What these languages do to letters before everything else.
_DOTLESS = {"LOWER": {"I": "ı", "İ": "i"}, "UPPER": {"i": "İ", "ı": "I"}}


def string_normalizer(x, *, case_change_action, is_case_sensitive, locale, stopwords):
    if x.ndim not in (1, 2) or (x.ndim == 2 and x.shape[0] != 1):
        raise AttributeValueError("shape of X", x.shape, "[C] or [1, C]")
    if case_change_action not in ("NONE", "LOWER", "UPPER"):
        raise AttributeValueError("case_change_action", case_change_action, "NONE, LOWER or UPPER")

    def cased(text, action):
        if (locale or "").lower().startswith(("tr", "az")):
            text = text.translate(str.maketrans(_DOTLESS.get(action, {})))
        return {"NONE": text, "LOWER": text.lower(), "UPPER": text.upper()}[action]

    def compared(text):
        return text if is_case_sensitive else cased(text, "LOWER")

    stops = {compared(word) for word in stopwords or ()}
    kept = [text for text in x.reshape(-1).tolist() if compared(text) not in stops]
    y = np.array([cased(text, case_change_action) for text in kept] or [""], dtype=object)
    return (y.reshape(1, -1) if x.ndim == 2 else y,)


@hookimpl
def cml_op():
    week = np.array(["Monday", "tuesday", "monday", "Café"], dtype=object)
    stops = {"stopwords": ["monday"]}

    def words(*texts):
        return np.array(texts, dtype=object)

    return OpPlugin(
        schema=OpSchema("StringNormalizer", since_versions=(10,)),
        numpy_op=string_normalizer,
        examples=(
            OpExample((week,), outputs=(week,), encrypted=(), name="unchanged"),
            OpExample(
                (week[np.newaxis],),
                {**stops, "case_change_action": "UPPER"},
                (words("TUESDAY", "CAFÉ")[np.newaxis],),
                encrypted=(),
                name="upper case, whatever the case of stop words",
            ),
            OpExample(
                (week,),
                {**stops, "is_case_sensitive": 1, "case_change_action": "LOWER"},
                (words("monday", "tuesday", "café"),),
                encrypted=(),
                name="stop words in their own case",
            ),
            OpExample((week[2:3],), stops, (words(""),), encrypted=(), name="nothing left"),
            OpExample(
                (words("ıi"),),
                {"case_change_action": "UPPER", "locale": "tr_TR"},
                (words("Iİ"),),
                encrypted=(),
                name="Turkish",
            ),
        ),
    )
