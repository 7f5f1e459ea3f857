const _: () = ::wireloom::codegen::require(2);
