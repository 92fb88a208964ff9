"""Computes the frozen digests of `orchestrator/src/plan.rs` independently: canonical JSON by hand, BLAKE3 by Python's blake3 1.0.11.

    pip install blake3==1.0.11 && python make_trial_digest.py
"""

import blake3


def digest(text: str | bytes) -> str:
    return blake3.blake3(text.encode() if isinstance(text, str) else text).hexdigest()


config = '{"loss":{"koleo_weight":0.1},"model":{"dim":96},"optim":{"lr":null,"min_lr":0.000001}}'
print("trial ", digest('{"code":"0.1.0+1a2b3c4","config":%s,"shards":"%s"}' % (config, digest(b"pixels"))))
evals = '[{"name":"cells","shards":"%s","split":"grouped","split_digest":"%s","transductive":false}]' % (digest(b"cells"), digest(b"split"))
print("probes", digest('{"evals":%s,"options":{}}' % evals))
