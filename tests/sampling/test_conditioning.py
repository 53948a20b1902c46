import pytest
import torch

from atelier.sampling.conditioning import Conditioning, ScheduledEncoding, TextEncoding
from tests.sampling.toys import conditioning, constant, text


def test_a_text_with_end_e_is_used_while_the_call_index_is_not_beyond_e():
    """[a:b:0.5] at 10 steps is a until 5 and b until 10: six calls of a, because calls count from 0."""
    scheduled = ScheduledEncoding(((5, text(1.0)), (10, text(2.0))))
    assert [float(scheduled.at(index).vectors[0, 0]) for index in range(12)] == [1.0] * 6 + [2.0] * 6


def test_alternation_keeps_its_first_text_for_two_calls():
    scheduled = ScheduledEncoding(tuple((step, text(float(step % 2))) for step in range(1, 6)))
    assert [float(scheduled.at(index).vectors[0, 0]) for index in range(6)] == [1, 1, 0, 1, 0, 1]


def test_rows_stand_by_picture_and_part():
    cond = Conditioning(
        (((0.5, constant(1.0)), (2.0, constant(2.0))), ((1.0, constant(3.0)),)), (constant(-1.0), constant(-2.0))
    )
    step = cond.at(0)
    assert step.images == (0, 0, 1) and step.weights == (0.5, 2.0, 1.0)
    assert step.vectors[:, 0, 0].tolist() == [1, 2, 3] and step.negative[:, 0, 0].tolist() == [-1, -2]
    assert cond.images == 2


def test_shorter_parts_repeat_their_last_vector_within_a_picture_only():
    short = TextEncoding(torch.tensor([[1.0], [2.0]]))
    long = TextEncoding(torch.tensor([[5.0], [6.0], [7.0], [8.0]]))
    fixed = ScheduledEncoding.constant
    cond = Conditioning((((1.0, fixed(short)), (1.0, fixed(long))), ((1.0, fixed(short)),)), (fixed(short),) * 2)
    step = cond.at(0)
    assert step.vectors[0, :, 0].tolist() == [1, 2, 2, 2]
    assert step.lengths == (4, 4, 2) and step.negative_lengths == (2, 2)


def test_padding_makes_both_sides_of_a_picture_equally_long():
    empty = TextEncoding(torch.full((2, 3), 9.0))
    cond = Conditioning((((1.0, constant(1.0, 4)),),), (constant(2.0, 2),), empty=empty, pad=True)
    step = cond.at(0)
    assert step.lengths == step.negative_lengths == (4,)
    assert step.negative[0, :, 0].tolist() == [2, 2, 9, 9]
    odd = Conditioning((((1.0, constant(1.0, 3)),),), (constant(2.0, 2),), empty=empty, pad=True).at(0)
    assert odd.negative[0, :, 0].tolist() == [2, 2, 2]


def test_a_hook_may_change_the_tensors_of_one_call():
    cond = conditioning([1.0])
    cond.at(0).vectors.zero_()
    assert cond.at(0).vectors.any()


def test_pooled_vectors_are_stacked_where_every_text_has_one():
    pooled = ScheduledEncoding.constant(TextEncoding(torch.ones(2, 3), torch.ones(5)))
    both = Conditioning((((1.0, pooled),),) * 2, (pooled, constant(0.0))).at(0)
    assert both.pooled.shape == (2, 5) and both.negative_pooled is None


def test_every_picture_needs_a_negative():
    with pytest.raises(ValueError, match="2 positive"):
        Conditioning((((1.0, constant(1.0)),),) * 2, (constant(0.0),))


def test_a_negative_text_may_take_the_length_of_the_prompt():
    def encoding(length, value):
        return ScheduledEncoding.constant(TextEncoding(torch.full((length, 2), float(value))))

    for prompt, negative in ((77, 154), (154, 77)):
        texts = Conditioning((((1.0, encoding(prompt, 1)),),), (encoding(negative, 2),), follow=True)
        step = texts.at(0)
        assert step.vectors.shape == step.negative.shape == (1, prompt, 2) and step.negative_lengths == (prompt,)
        assert torch.equal(step.negative, torch.full((1, prompt, 2), 2.0))
