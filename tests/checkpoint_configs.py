"""The config.json of each small checkpoint that tests/tiny_checkpoints.py writes, without its vocabulary."""

from __future__ import annotations

from typing import Any

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}  # fmt: skip
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
SHAPE = {"hidden_size": 96, "num_attention_heads": 6, "num_key_value_heads": 2, "intermediate_size": 100,
         "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "num_hidden_layers": 3}  # fmt: skip
GPT_OSS = {**SHAPE, "head_dim": 32, "intermediate_size": 64, "rope_theta": 1e3, "sliding_window": 8,
           "attention_bias": True, "tie_word_embeddings": False, "hidden_act": "silu", "num_local_experts": 6,
           "num_experts_per_tok": 3, "swiglu_limit": 7.0}  # fmt: skip
GEMMA4 = {
    "head_dim": 16, "global_head_dim": 32, "sliding_window": 8, "hidden_activation": "gelu_pytorch_tanh",
    "use_bidirectional_attention": "vision", "num_kv_shared_layers": 0, "pad_token_id": 0, "attention_bias": False,
    "tie_word_embeddings": True,
    "rope_parameters": {
        "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    },
}  # fmt: skip
DELTA = {**{key: value for key, value in SHAPE.items() if key != "intermediate_size"}, "rms_norm_eps": 1e-6,
         "head_dim": 32, "attention_bias": False, "hidden_act": "silu", "linear_num_key_heads": 2,
         "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
         "linear_conv_kernel_dim": 4}  # fmt: skip
LFM2 = {**{key: SHAPE[key] for key in ("hidden_size", "num_attention_heads", "num_key_value_heads")},
        "max_position_embeddings": 256, "norm_eps": 1e-5, "conv_bias": False, "conv_L_cache": 3}  # fmt: skip
MROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.25,
                             "mrope_section": [2, 1, 1], "mrope_interleaved": True}}  # fmt: skip
MIXTURE = {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 40,
           "shared_expert_intermediate_size": 48}  # fmt: skip
GRANITE4 = {**SHAPE, "model_type": "granitemoehybrid", "architectures": ["GraniteMoeHybridForCausalLM"],
            "embedding_multiplier": 6.0, "residual_multiplier": 0.22, "logits_scaling": 2.0,
            "attention_multiplier": 0.3, "attention_bias": False, "hidden_act": "silu", "rope_theta": 1e4,
            "normalization_function": "rmsnorm", "mamba_conv_bias": True, "mamba_proj_bias": False,
            "mamba_chunk_size": 16, "mamba_d_conv": 4, "mamba_d_state": 16, "mamba_expand": 2, "mamba_d_head": 32,
            "mamba_n_heads": 6, "mamba_n_groups": 2, "num_local_experts": 0, "num_experts_per_tok": 0,
            "shared_intermediate_size": 100}  # fmt: skip
LATENT = {"kv_lora_rank": 48, "qk_nope_head_dim": 24, "qk_rope_head_dim": 16, "v_head_dim": 32, "rope_theta": 1e4,
          "num_key_value_heads": 6, "rms_norm_eps": 1e-6, "attention_bias": False, "hidden_act": "silu",
          "tie_word_embeddings": False, "num_experts_per_tok": 3, "moe_intermediate_size": 40,
          "first_k_dense_replace": 1}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "llama-untied-llama3": {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], **SHAPE, "head_dim": 20, "rope_theta": 5e5,
        "rope_scaling": LLAMA3, "tie_word_embeddings": False, "hidden_act": "silu",
    },
    "llama-tied-biases-linear": {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], **SHAPE, "attention_bias": True,
        "mlp_bias": True, "rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2.0},
        "tie_word_embeddings": True, "hidden_act": "silu",
    },
    "glm4-untied-biases": {
        "model_type": "glm4", "architectures": ["Glm4ForCausalLM"], **SHAPE, "head_dim": 20, "rope_theta": 1e4,
        "partial_rotary_factor": 0.5, "attention_bias": True, "tie_word_embeddings": False, "hidden_act": "silu",
        "pad_token_id": 0,
    },
    "glm4-moe-untied-predicting": {
        "model_type": "glm4_moe", "architectures": ["Glm4MoeForCausalLM"], **SHAPE, "head_dim": 20, "rope_theta": 1e4,
        "partial_rotary_factor": 0.5, "attention_bias": True, "use_qk_norm": True, "tie_word_embeddings": False,
        "hidden_act": "silu", "n_routed_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 40,
        "n_shared_experts": 2, "first_k_dense_replace": 1, "routed_scaling_factor": 1.5, "norm_topk_prob": True,
        "n_group": 1, "topk_group": 1, "num_nextn_predict_layers": 1, "pad_token_id": 0,
    },
    "deepseek-v2-untied-yarn": {  # of 26 layers, as few as of which llama.cpp has models without q_lora_rank
        "model_type": "deepseek_v2", "architectures": ["DeepseekV2ForCausalLM"], **SHAPE, **LATENT,
        "num_hidden_layers": 26, "q_lora_rank": None, "n_routed_experts": 6, "n_shared_experts": 2, "n_group": 1,
        "topk_group": 1, "topk_method": "greedy", "scoring_func": "softmax", "norm_topk_prob": False,
        "routed_scaling_factor": 1.5, "moe_layer_freq": 1,
        "rope_scaling": {**YARN, "type": "yarn", "beta_fast": 32, "beta_slow": 1, "mscale": 0.707,
                         "mscale_all_dim": 0.707},
    },
    "deepseek-v3-untied-groups": {
        "model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], **SHAPE, **LATENT, "q_lora_rank": 40,
        "n_routed_experts": 8, "n_shared_experts": 1, "n_group": 4, "topk_group": 2, "topk_method": "noaux_tc",
        "scoring_func": "sigmoid", "norm_topk_prob": True, "routed_scaling_factor": 2.5, "moe_layer_freq": 1,
        "num_nextn_predict_layers": 0,
        "rope_scaling": {**YARN, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0},
    },
    "glm4-moe-lite-untied-predicting": {
        "model_type": "glm4_moe_lite", "architectures": ["Glm4MoeLiteForCausalLM"], **SHAPE, **LATENT,
        "q_lora_rank": 40, "n_routed_experts": 6, "n_shared_experts": 1, "n_group": 1, "topk_group": 1,
        "topk_method": "noaux_tc", "norm_topk_prob": True, "routed_scaling_factor": 1.8, "num_nextn_predict_layers": 1,
        "pad_token_id": 0,
    },
    "gpt-oss-untied-mxfp4": {
        "model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"], **GPT_OSS, "num_hidden_layers": 4,
        "max_position_embeddings": 2048,
        "rope_scaling": {**YARN, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
                         "original_max_position_embeddings": 512},
        "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]},
    },
    "gpt-oss-untied-floats": {
        "model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"], **GPT_OSS, "num_hidden_layers": 2,
        "rope_scaling": {**YARN, "truncate": False},
    },
    "granite-tied": {
        "model_type": "granite", "architectures": ["GraniteForCausalLM"], **SHAPE, "rope_theta": 1e4,
        "embedding_multiplier": 6.0, "residual_multiplier": 0.22, "logits_scaling": 2.0, "attention_multiplier": 0.3,
        "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True, "hidden_act": "silu",
    },
    "granite4-tied": {
        **GRANITE4, "num_hidden_layers": 4, "layer_types": ["mamba", "attention", "mamba", "mamba"],
        "position_embedding_type": "nope", "tie_word_embeddings": True,
    },
    "granite4-untied-experts": {
        **GRANITE4, "num_hidden_layers": 4, "layer_types": ["mamba", "mamba", "attention", "mamba"],
        "position_embedding_type": "nope", "tie_word_embeddings": False, "mamba_n_heads": 12, "mamba_d_head": 16,
        "mamba_n_groups": 1, "num_local_experts": 6, "num_experts_per_tok": 3, "intermediate_size": 40,
        "shared_intermediate_size": 48,
    },
    "granite4-tied-attends": {
        **GRANITE4, "layer_types": ["attention"] * 3, "position_embedding_type": "rope", "tie_word_embeddings": True,
    },
    "lfm2-tied": {
        "model_type": "lfm2", "architectures": ["Lfm2ForCausalLM"], **LFM2, "num_hidden_layers": 5, "block_ff_dim": 150,
        "block_auto_adjust_ff_dim": True, "block_multiple_of": 20, "block_ffn_dim_multiplier": 0.9,
        "full_attn_idxs": [1, 3], "layer_types": ["conv", "full_attention", "conv", "full_attention", "conv"],
        "tie_embedding": True,
    },
    "lfm2-untied-yarn": {
        "model_type": "lfm2", "architectures": ["Lfm2ForCausalLM"], **LFM2, "num_hidden_layers": 4, "conv_L_cache": 4,
        "intermediate_size": 100, "block_auto_adjust_ff_dim": False, "full_attn_idxs": [2],
        "tie_word_embeddings": False, "rope_parameters": {**YARN, "rope_theta": 1e4},
    },
    "lfm2-moe-tied": {
        "model_type": "lfm2_moe", "architectures": ["Lfm2MoeForCausalLM"], **LFM2, "num_hidden_layers": 5,
        "layer_types": ["conv", "conv", "full_attention", "conv", "full_attention"], "intermediate_size": 100,
        "num_dense_layers": 2, "num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 32,
        "use_expert_bias": True, "norm_topk_prob": True, "routed_scaling_factor": 1.0, "rope_theta": 1e6,
    },
    "ministral3-untied": {
        "model_type": "ministral3", "architectures": ["Ministral3ForCausalLM"], **SHAPE, "head_dim": 20,
        "rope_parameters": {"rope_type": "yarn", "type": "yarn", "rope_theta": 1e6, "factor": 16.0, "mscale": 1.0,
                            "mscale_all_dim": 1.0, "beta_fast": 32.0, "beta_slow": 1.0, "llama_4_scaling_beta": 0.1,
                            "original_max_position_embeddings": 16}, "sliding_window": None,
        "tie_word_embeddings": False, "hidden_act": "silu", "pad_token_id": 0,
    },
    "olmo2-untied": {
        "model_type": "olmo2", "architectures": ["Olmo2ForCausalLM"], **SHAPE, "rope_theta": 5e5,
        "attention_bias": False, "tie_word_embeddings": False, "hidden_act": "silu", "rope_scaling": None,
    },
    "olmo3-untied-windows-yarn": {
        "model_type": "olmo3", "architectures": ["Olmo3ForCausalLM"], **SHAPE, "rope_theta": 5e5, "rope_scaling": YARN,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 8,
        "attention_bias": False, "tie_word_embeddings": False, "hidden_act": "silu",
    },
    "phi4-untied-longrope": {
        "model_type": "phi3", "architectures": ["Phi3ForCausalLM"], **SHAPE, "rope_theta": 1e4,
        "partial_rotary_factor": 0.75, "max_position_embeddings": 1024, "original_max_position_embeddings": 256,
        "rope_scaling": {"type": "longrope", "long_factor": [1.0, 1.5, 2.5, 4.0, 7.0, 9.0],
                         "short_factor": [1.0, 1.1, 1.3, 1.4, 1.8, 2.0]},
        "sliding_window": 1024, "tie_word_embeddings": False, "hidden_act": "silu", "pad_token_id": 0,
    },
    "phi3-window": {
        "model_type": "phi3", "architectures": ["Phi3ForCausalLM"], **SHAPE, "rope_theta": 1e4,
        "original_max_position_embeddings": 256, "rope_scaling": None, "sliding_window": 20,
        "tie_word_embeddings": False, "hidden_act": "silu", "pad_token_id": 0,
    },
    "smollm3-tied": {
        "model_type": "smollm3", "architectures": ["SmolLM3ForCausalLM"], **SHAPE, "num_hidden_layers": 5,
        "rope_theta": 5e6, "no_rope_layers": [1, 1, 1, 0, 1], "no_rope_layer_interval": 4, "attention_bias": False,
        "layer_types": ["full_attention"] * 5, "use_sliding_window": False, "tie_word_embeddings": True,
        "mlp_bias": False, "hidden_act": "silu", "pad_token_id": 0,
    },
    "qwen2-tied-yarn": {
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], **SHAPE, "rope_theta": 1e6, "rope_scaling": YARN,
        "tie_word_embeddings": True, "use_sliding_window": False, "hidden_act": "silu", "max_window_layers": 3,
    },
    "qwen2-moe-untied": {
        "model_type": "qwen2_moe", "architectures": ["Qwen2MoeForCausalLM"], **SHAPE, **MIXTURE, "rope_theta": 1e6,
        "tie_word_embeddings": False, "use_sliding_window": False, "hidden_act": "silu", "max_window_layers": 3,
        "norm_topk_prob": False, "decoder_sparse_step": 1, "mlp_only_layers": [], "qkv_bias": True,
    },
    "qwen3-untied": {
        "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], **SHAPE, "head_dim": 32, "attention_bias": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "tie_word_embeddings": False,
        "num_hidden_layers": 2, "hidden_act": "silu",
    },
    "qwen3-moe-untied": {
        "model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"], **SHAPE, "head_dim": 32,
        "attention_bias": False, "rope_theta": 1e6, "tie_word_embeddings": False, "num_hidden_layers": 2,
        "hidden_act": "silu", "num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 40,
        "norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": [], "router_aux_loss_coef": 0.001,
    },
    "qwen3.5-untied": {
        "model_type": "qwen3_5_text", "architectures": ["Qwen3_5ForCausalLM"], **DELTA, **MROPE,
        "num_hidden_layers": 5, "attn_output_gate": True, "full_attention_interval": 4, "mtp_num_hidden_layers": 1,
        "layer_types": [*["linear_attention"] * 3, "full_attention", "linear_attention"], "intermediate_size": 100,
        "tie_word_embeddings": False,
    },
    "qwen3.5-moe-untied": {
        "model_type": "qwen3_5_moe_text", "architectures": ["Qwen3_5MoeForCausalLM"], **DELTA, **MROPE, **MIXTURE,
        "layer_types": [*["linear_attention"] * 3, "full_attention"], "num_hidden_layers": 4,
        "mtp_num_hidden_layers": 1, "tie_word_embeddings": False,
    },
    "qwen3-next-untied": {
        "model_type": "qwen3_next", "architectures": ["Qwen3NextForCausalLM"], **DELTA, **MIXTURE, "rope_theta": 1e6,
        "partial_rotary_factor": 0.25, "full_attention_interval": 4, "num_hidden_layers": 5, "intermediate_size": 100,
        "mtp_num_hidden_layers": 1, "norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": [],
        "tie_word_embeddings": False,
    },
    "gemma3-windows-linear": {
        "model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"], **SHAPE, "head_dim": 32,
        "query_pre_attn_scalar": 32, "sliding_window": 8, "rope_theta": 1e6, "rope_local_base_freq": 1e4,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "rope_scaling": {"rope_type": "linear", "factor": 4.0}, "hidden_activation": "gelu_pytorch_tanh",
        "final_logit_softcapping": None, "attn_logit_softcapping": None,
    },
    "gemma4-dense": {
        "model_type": "gemma4_text", "architectures": ["Gemma4ForCausalLM"], **SHAPE, **GEMMA4, "num_hidden_layers": 4,
        "attention_k_eq_v": True, "num_global_key_value_heads": 1, "hidden_size_per_layer_input": 0,
        "layer_types": ["sliding_attention", "full_attention"] * 2, "final_logit_softcapping": None,
    },
    "gemma4-own-embeddings-shared": {
        "model_type": "gemma4_text", "architectures": ["Gemma4ForCausalLM"], **SHAPE, **GEMMA4, "num_hidden_layers": 6,
        "num_kv_shared_layers": 3, "use_double_wide_mlp": True, "hidden_size_per_layer_input": 12,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
        "final_logit_softcapping": 3.0,
    },
    "gemma4-mixture": {
        "model_type": "gemma4_text", "architectures": ["Gemma4ForCausalLM"], **SHAPE, **GEMMA4, "num_hidden_layers": 3,
        "attention_k_eq_v": True, "num_global_key_value_heads": 1, "hidden_size_per_layer_input": 0,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"], "final_logit_softcapping": 3.0,
        "enable_moe_block": True, "num_experts": 6, "top_k_experts": 3, "moe_intermediate_size": 40,
    },
}  # fmt: skip
SENTENCEPIECE = ("llama-tied-biases-linear", "phi3-window", "gemma3-windows-linear")
DTYPES = {"llama-untied-llama3": "F32", "qwen3-untied": "F16"}  # others: BF16
