#include "elements.h"

#include "kea_abi.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <stdexcept>
#include <vector>

using isc::data::ConstElementPtr;
using isc::data::Element;
using isc::data::ElementPtr;

namespace {

/* Bounds the recursion; Kea's own parser accepts fewer levels. */
const unsigned deepest = 200;

class Reader {
public:
    Reader(const uint8_t* block, size_t size) : at_(block), left_(size) {
        for (uint32_t count = number(); count > 0; --count) {
            files_.push_back(text());
        }
    }

    ElementPtr value(unsigned depth = 0) {
        if (depth > deepest) {
            throw std::runtime_error("a value is nested too deeply");
        }
        const char kind = static_cast<char>(*take(1));
        const uint32_t file = number();
        const uint32_t line = number();
        const uint32_t column = number();
        const Element::Position position(files_.at(file), line, column);
        switch (kind) {
        case 'n':
            return Element::create(position);
        case 't':
        case 'f':
            return Element::create(kind == 't', position);
        case 'i':
            return Element::create(static_cast<long long>(fixed<int64_t>()), position);
        case 'd':
            return Element::create(fixed<double>(), position);
        case 's':
            return Element::create(text(), position);
        case 'g':
            return pyd2::abi::make_big_integer(text(), position);
        case 'l': {
            ElementPtr list = Element::createList(position);
            for (uint32_t count = number(); count > 0; --count) {
                list->add(value(depth + 1));
            }
            return list;
        }
        case 'm': {
            ElementPtr map = Element::createMap(position);
            for (uint32_t count = number(); count > 0; --count) {
                const std::string name = text();
                map->set(name, value(depth + 1));
            }
            return map;
        }
        default:
            throw std::runtime_error("a value of an unknown kind");
        }
    }

private:
    const uint8_t* take(size_t size) {
        if (size > left_) {
            throw std::runtime_error("a value ends too soon");
        }
        const uint8_t* found = at_;
        at_ += size;
        left_ -= size;
        return found;
    }

    template <typename Number>
    Number fixed() {
        Number read;
        std::memcpy(&read, take(sizeof read), sizeof read);
        return read;
    }

    uint32_t number() { return fixed<uint32_t>(); }

    std::string text() {
        const size_t size = number();
        return std::string(reinterpret_cast<const char*>(take(size)), size);
    }

    const uint8_t* at_;
    size_t left_;
    std::vector<std::string> files_;
};

class Writer {
public:
    void value(const Element& element, unsigned depth = 0) {
        if (depth > deepest) {
            throw std::runtime_error("a value is nested too deeply");
        }
        switch (element.getType()) {
        case Element::null:
            return head('n', element);
        case Element::boolean:
            return head(element.boolValue() ? 't' : 'f', element);
        case Element::integer:
            head('i', element);
            return fixed<int64_t>(element.intValue());
        case Element::real:
            head('d', element);
            return fixed<double>(element.doubleValue());
        case Element::string:
            head('s', element);
            return text(element.stringValue());
        case Element::bigint:
            head('g', element);
            return text(pyd2::abi::big_integer_text(element));
        case Element::list:
            head('l', element);
            number(element.listValue().size());
            for (const ElementPtr& item : element.listValue()) {
                member(item, depth);
            }
            return;
        case Element::map:
            head('m', element);
            number(element.mapValue().size());
            for (const auto& item : element.mapValue()) {
                text(item.first);
                member(item.second, depth);
            }
            return;
        default:
            throw std::runtime_error("a value of an unknown kind");
        }
    }

    /* The whole block, in memory that kb_free() frees. */
    uint8_t* block(size_t* size) {
        std::string values;
        values.swap(out_);
        number(files_.size());
        std::vector<const std::string*> names(files_.size());
        for (const auto& file : files_) {
            names.at(file.second) = &file.first;
        }
        for (const std::string* name : names) {
            text(*name);
        }
        out_ += values;
        uint8_t* copy = static_cast<uint8_t*>(std::malloc(out_.size()));
        if (copy == nullptr) {
            throw std::bad_alloc();
        }
        std::memcpy(copy, out_.data(), out_.size());
        *size = out_.size();
        return copy;
    }

private:
    /* A library may have put a null pointer into a map or list; JSON's null is the nearest. */
    void member(const ConstElementPtr& item, unsigned depth) {
        value(item ? *item : *null_, depth + 1);
    }

    void head(char kind, const Element& element) {
        const Element::Position& position = element.getPosition();
        out_ += kind;
        number(files_.emplace(position.file_, static_cast<uint32_t>(files_.size())).first->second);
        number(position.line_);
        number(position.pos_);
    }

    template <typename Number>
    void fixed(Number value) {
        out_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }

    void number(size_t value) {
        if (value > std::numeric_limits<uint32_t>::max()) {
            throw std::runtime_error("a value is too long");
        }
        fixed<uint32_t>(static_cast<uint32_t>(value));
    }

    void text(const std::string& text) {
        number(text.size());
        out_ += text;
    }

    std::string out_;
    std::map<std::string, uint32_t> files_;
    const ElementPtr null_ = Element::create();
};

}  // namespace

namespace pyd2 {

kb_element* wrap(const ConstElementPtr& value) {
    return value ? new kb_element{boost::const_pointer_cast<Element>(value)} : nullptr;
}

ConstElementPtr unwrap(const kb_element* element) {
    return element != nullptr ? ConstElementPtr(element->value) : ConstElementPtr();
}

}  // namespace pyd2

kb_element* kb_element_read(const uint8_t* block, size_t size) {
    return pyd2::guarded<kb_element*>(nullptr, [&] { return pyd2::wrap(Reader(block, size).value()); });
}

uint8_t* kb_element_write(const kb_element* element, size_t* size) {
    return pyd2::guarded<uint8_t*>(nullptr, [&] {
        Writer writer;
        writer.value(*element->value);
        return writer.block(size);
    });
}

void kb_element_free(kb_element* element) {
    delete element;
}
