"""The method's steps as plain Python objects, on a few users of MovieLens-100K (minutes on two CPU cores)."""

from pathlib import Path

from trackrec import api as tr

log = tr.read_log(tr.SourceSettings())
split = tr.split_log(log, tr.SplitSettings())
histories, users = tr.rows_by_user(split.histories), split.users.to_list()[:4]
chosen = tr.choose_targets(split.examples, users, per_user=4, seed=1)
targets = tr.ItemStatistics.from_interactions(split.histories, like_threshold=4.0).lookup(chosen)
model = tr.LanguageModel(tr.LanguageModelSettings())
renderer = tr.Renderer(model.tokenizer, log.items, tr.PromptSettings(history_tokens=96, reccot_tokens=40))

teacher = tr.ProfileTeacher(log.items, renderer.domain, renderer.count_tokens)
texts = tr.write_texts(teacher, split.histories, renderer, seed=1, users=users)
generator = tr.Generator(model, renderer, histories)
generator.distil("G", texts, tr.TrainingSettings(), seed=1)
reccots = generator.writer("G").write(users, n=3, decoding=tr.DecodingSettings(max_new_tokens=40), seed=1)

validator = tr.LMValidator(model, "V", renderer, histories, tr.LMValidatorSettings())
validator.fit(targets, reccots.filter(sample=0), Path("runs/api/V"), seed=1)
scores = validator.score(targets, reccots)
settings = tr.PreferenceSettings(k=0, require_gain=False, drop_all_wrong=False, unfinished_may_win=True)
groups, counts = tr.build_groups(scores, reccots, settings, tr.LogLikelihood())
generator.align("G", groups, reccots, tr.AlignmentSettings(), seed=1)

better = generator.writer("G").write(users, n=1, decoding=tr.DecodingSettings(temperature=0), seed=1)
vectors = tr.user_vectors(better.select("user_id", "text"), tr.TextEncoder())
print(better["text"][0], counts, vectors.head(), sep="\n")
