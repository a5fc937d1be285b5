"""The pages of subscribers: joining."""
