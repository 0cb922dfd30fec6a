// SPDX-License-Identifier: LGPL-2.0-or-later
// Stands in for Bochs's configuration: fixed answers.
#ifndef BX_SIM_SHIM_H
#define BX_SIM_SHIM_H

struct bx_fixed_simulator {
  template <class T>
  struct Value {
    T value;
    T get() const { return value; }
    const char* getptr() const { return ""; }
  };
  const Value<bool>* get_param_bool(const char* name) const {
    static const Value<bool> yes{true}, no{false};
    return strcmp(name, "cpu.reset_on_triple_fault") == 0 ? &yes : &no;
  }
  const Value<int>* get_param_num(const char*) const {
    static const Value<int> one{1};
    return &one;
  }
  const Value<int>* get_param_string(const char*) const {
    static const Value<int> empty{0};
    return &empty;
  }
  const bx_fixed_simulator* operator->() const { return this; }
};
static const bx_fixed_simulator SIM;

#endif
