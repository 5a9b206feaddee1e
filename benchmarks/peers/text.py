#!/usr/bin/python3
"""Sentence classifiers from random-init embeddings (eager PyTorch).
kimcnn     : emb 300, widths 3/4/5 x 100, dropout 0.5, max-norm 3 on the output layer, batch 50
lstm       : emb 128, hidden 128, last valid state -> mean-pooled (masked), batch 32
transformer: 2 layers, d 128, 4 heads, ff 512, seq 64 (always padded to 64), batch 32
bow        : fastText-like mean of embeddings (dim 100, uni+bigram hashes) + linear, batch 32
Sets: trec (given split) | mr (10 folds, --fold)."""
import os
import peer
p = peer.args_base(__doc__, batch=0, epochs=0)
p.add_argument("--data", required=True)
p.add_argument("--set", default="trec", choices=["trec", "mr"])
p.add_argument("--model", default="kimcnn", choices=["kimcnn", "lstm", "transformer", "bow"])
p.add_argument("--fold", type=int, default=0)
p.add_argument("--opt", default=None, choices=["adam", "adadelta"])
p.add_argument("--dropout", type=float, default=None)
p.add_argument("--bidirectional", action="store_true", help="lstm: both directions, as the example has it")
p.add_argument("--pad", type=int, default=0, help="pad every batch to this length (0: to the corpus maximum; transformer: 64)")
a = p.parse_args()
a.batch = a.batch or (50 if a.model == "kimcnn" else 32)
a.epochs = a.epochs or dict(kimcnn=15, lstm=8, transformer=10, bow=20)[a.model]
torch = peer.setup(a)
nn, F = torch.nn, torch.nn.functional
import random, re, time


def clean(s):
    """Kim (2014), clean_str: lower-cased, clitics and punctuation apart."""
    s = re.sub(r"[^A-Za-z0-9(),!?\'\`]", " ", s)
    for x in ("\'s", "\'ve", "n\'t", "\'re", "\'d", "\'ll"):
        s = s.replace(x, " " + x)
    for x in ",!()?":
        s = s.replace(x, f" {x} ")
    return s.lower().split()


def load(fn):
    """TREC's files ("LABEL:detail question") and the polarity files, as they are published."""
    names = ["DESC", "ENTY", "ABBR", "HUM", "NUM", "LOC"]
    out = []
    for l in open(os.path.join(a.data, fn), encoding="latin-1", newline="\n"):
        if fn.startswith("TREC"):
            y, _, s = l.strip("\n").partition(" ")
            out.append((clean(s), names.index(y.split(":")[0])))
        else:
            out.append((clean(l.strip("\n")), int(fn.endswith(".pos"))))
    return out


if a.set == "trec":
    train, test = load("TREC.train"), load("TREC.test")
else:
    everything = load("rt-polarity.pos") + load("rt-polarity.neg")
    r = random.Random(3435)
    fold = [r.randrange(10) for _ in everything]
    train = [s for s, f in zip(everything, fold) if f != a.fold]
    test = [s for s, f in zip(everything, fold) if f == a.fold]
vocab = {"<pad>": 0, "<unk>": 1}
for s, _ in train:
    for w in s:
        vocab.setdefault(w, len(vocab))
V, C = len(vocab), 1 + max(y for _, y in train + test)
L = a.pad or (64 if a.model == "transformer" else max(len(s) for s, _ in train + test))
BUCKET = 50000 if a.model == "bow" else 0


def enc(d):
    rows = []
    for s, _ in d:
        ids = [vocab.get(w, 1) for w in s]
        if BUCKET:
            h = [V + (s0 * 1000003 + s1 * 8191 + 17) % BUCKET for s0, s1 in zip(ids, ids[1:])]
            ids = ids + h
        rows.append((ids[:L * (2 if BUCKET else 1)]) or [1])
    W = max(len(r) for r in rows) if BUCKET else L
    x = torch.zeros(len(d), W, dtype=torch.long)
    for i, r in enumerate(rows):
        x[i, :len(r)] = torch.tensor(r)
    return x, torch.tensor([y for _, y in d])


X, Y = enc(train)
XT, YT = enc(test)


class Kim(nn.Module):
    def __init__(s):
        super().__init__()
        s.e = nn.Embedding(V, 300, padding_idx=0)
        nn.init.uniform_(s.e.weight, -0.25, 0.25)
        with torch.no_grad():
            s.e.weight[0].zero_()
        s.c = nn.ModuleList([nn.Conv1d(300, 100, k, padding=k - 1) for k in (3, 4, 5)])
        s.d, s.o = nn.Dropout(0.5 if a.dropout is None else a.dropout), nn.Linear(300, C)

    def forward(s, x):
        x = s.e(x).transpose(1, 2)
        return s.o(s.d(torch.cat([F.relu(c(x)).amax(2) for c in s.c], 1)))


class Lstm(nn.Module):
    def __init__(s):
        super().__init__()
        s.e = nn.Embedding(V, 128, padding_idx=0)
        s.r = nn.LSTM(128, 128, batch_first=True, bidirectional=a.bidirectional)
        s.d = nn.Dropout(0.5 if a.dropout is None else a.dropout)
        s.o = nn.Linear(256 if a.bidirectional else 128, C)

    def forward(s, x):
        m = (x != 0).unsqueeze(2).float()
        h, _ = s.r(s.d(s.e(x)))
        return s.o(s.d((h * m).sum(1) / m.sum(1)))


class Tr(nn.Module):
    def __init__(s):
        super().__init__()
        s.e, s.p = nn.Embedding(V, 128, padding_idx=0), nn.Parameter(torch.randn(L, 128) * 0.02)
        nn.init.normal_(s.e.weight, 0, 0.1)
        dp = 0.1 if a.dropout is None else a.dropout
        lay = nn.TransformerEncoderLayer(128, 4, 512, dp, batch_first=True)
        s.t = nn.TransformerEncoder(lay, 2, enable_nested_tensor=False)
        s.d, s.o = nn.Dropout(dp), nn.Linear(128, C)

    def forward(s, x):
        m = x == 0
        h = s.t(s.d(s.e(x) + s.p), src_key_padding_mask=m)
        w = (~m).unsqueeze(2).float()
        return s.o(s.d((h * w).sum(1) / w.sum(1)))


class Bow(nn.Module):
    def __init__(s):
        super().__init__()
        s.e, s.o = nn.EmbeddingBag(V + BUCKET, 100, mode="mean", padding_idx=0), nn.Linear(100, C)
        nn.init.uniform_(s.e.weight, -0.01, 0.01)

    def forward(s, x):
        return s.o(s.e(x))


m = dict(kimcnn=Kim, lstm=Lstm, transformer=Tr, bow=Bow)[a.model]()
o = a.opt or "adam"
lr = a.lr or dict(kimcnn=1e-3, lstm=2e-3, transformer=5e-4, bow=5e-3)[a.model]
opt = torch.optim.Adadelta(m.parameters(), lr=1.0, rho=0.95, eps=1e-6) if o == "adadelta" else torch.optim.Adam(m.parameters(), lr=lr)
if a.compile:
    m = torch.compile(m)
if a.model == "kimcnn":           # Kim's max-norm constraint s=3 on the output rows, applied after each step
    _step = opt.step

    def step(*k):
        _step(*k)
        with torch.no_grad():
            m.o.weight.copy_(torch.renorm(m.o.weight, 2, 0, 3))
    opt.step = step
peer.run_classifier(torch, a, m, opt, X, Y, XT, YT,
                    dict(model=a.model, set=a.set, vocab=V, seq=X.shape[1], classes=C, opt=o, lr=lr, ntrain=len(train), ntest=len(test)))
