//! Every verb and admission, once, over the store.
